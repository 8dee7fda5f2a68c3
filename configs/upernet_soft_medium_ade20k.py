_base_ = [
    './_base_/backbones/soft.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='medium', pretrained='imagenet1k')
published = dict(metric='mIoU', value=48.0, source='fudan-zvg/SOFT, README.md')
