_base_ = [
    './_base_/backbones/van.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='b5', drop_path_rate=0.4)
test_multiple = 32
published = dict(metric='mIoU (multi-scale)', value=53.9, source='Visual-Attention-Network/VAN-Segmentation, README.md')
