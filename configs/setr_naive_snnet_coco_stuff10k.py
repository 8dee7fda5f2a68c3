# Results were published as figures.
_base_ = [
    './_base_/backbones/snnet.py',
    './_base_/heads/setr_naive.py',
    './_base_/datasets/coco_stuff10k.py',
    './_base_/schedules/sgd_160k.py',
    './_base_/runtime/default.py',
]
max_iters, val_interval = 80_000, 8000
anchors = ('weights:vit_deit3_small_imagenet22k_1k', 'weights:vit_deit3_large_imagenet22k_1k')
backbone, find_unused_parameters = dict(drop_path_rate=0.1, anchors_pretrained='${anchors}'), True
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(341, 341)))
