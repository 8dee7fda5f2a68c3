_base_ = [
    './_base_/backbones/dinat.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/camvid.py',
    './_base_/schedules/adamw_short.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='mini', drop_path_rate=0.1)
