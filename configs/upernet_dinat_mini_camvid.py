_base_ = [
    './_base_/backbones/dinat.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/camvid.py',
    './_base_/schedules/adamw_short.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='mini', dilations='imagenet', drop_path_rate=0.1)
model = dict(decode_head=dict(channels=128), auxiliary_head=dict(channels=64))
crop_size = (256, 256)
max_iters = 800
val_interval = 400
