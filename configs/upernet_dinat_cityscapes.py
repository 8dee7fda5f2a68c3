_base_ = [
    './_base_/backbones/dinat.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/cityscapes.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(drop_path_rate=0.3)
