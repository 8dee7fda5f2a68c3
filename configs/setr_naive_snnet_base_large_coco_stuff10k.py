# Results were published as figures.
_base_ = [
    './_base_/backbones/parts/snnet_deit3_base_large.py',
    './_base_/heads/setr_naive.py',
    './_base_/datasets/coco_stuff10k.py',
    './_base_/schedules/sgd_160k.py',
    './_base_/runtime/default.py',
]
max_iters, val_interval = 80_000, 8000
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(341, 341)))
