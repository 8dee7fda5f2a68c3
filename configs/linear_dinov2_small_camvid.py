# A head for two CPU cores: train it with --cache-features, and the backbone sees each view of an image once.
_base_ = [
    './_base_/backbones/dinov2.py',
    './_base_/heads/linear.py',
    './_base_/datasets/camvid.py',
    './_base_/schedules/adamw_short.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='small', pretrained='lvd142m', out_indices=(11,), finetune='head')
crop_size = (252, 252)
optim_wrapper = dict(optimizer=dict(lr=1e-3, weight_decay=1e-4))
