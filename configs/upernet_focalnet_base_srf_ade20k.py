_base_ = [
    './_base_/backbones/focalnet.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='base_srf', pretrained='imagenet1k', drop_path_rate=0.3)
published = dict(metric='mIoU', value=50.2, multi_scale=51.1, source='microsoft/FocalNet, README.md')
