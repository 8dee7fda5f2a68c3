# Results were published as figures.
_base_ = [
    './_base_/backbones/parts/snnet_deit3.py',
    './_base_/heads/setr_naive.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/sgd_160k.py',
    './_base_/runtime/default.py',
]
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(341, 341)))
