# Results were published as figures.
_base_ = [
    './_base_/backbones/snnet.py',
    './_base_/heads/setr_naive.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/sgd_160k.py',
    './_base_/runtime/default.py',
]
anchors = ('weights:vit_deit3_base_imagenet22k_1k', 'weights:vit_deit3_large_imagenet22k_1k')
backbone, find_unused_parameters = dict(arch='base_large', drop_path_rate=0.1, anchors_pretrained='${anchors}'), True
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(341, 341)))
