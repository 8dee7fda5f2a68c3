_base_ = [
    './_base_/backbones/soft.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
# The authors' recipe is not published; this is Swin's.
backbone = dict(arch='small', pretrained='imagenet1k')
published = dict(metric='mIoU', value=46.2, source='fudan-zvg/SOFT, README.md')
