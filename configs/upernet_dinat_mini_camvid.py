_base_ = [
    './_base_/backbones/dinat.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/camvid.py',
    './_base_/schedules/adamw_short.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='mini', dilations='imagenet', drop_path_rate=0.1)  # 224-pixel dilations suit 256-pixel crops
model = dict(decode_head=dict(channels=128), auxiliary_head=dict(channels=64))
