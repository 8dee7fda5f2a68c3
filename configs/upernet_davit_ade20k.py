_base_ = [
    './_base_/backbones/davit.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='tiny', pretrained='imagenet1k', drop_path_rate=0.3)
published = dict(metric='mIoU', value=46.3, source='dingmyu/davit, README.md')
