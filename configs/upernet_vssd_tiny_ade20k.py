_base_ = [
    './_base_/backbones/vssd.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='tiny', pretrained='imagenet1k', drop_path_rate=0.2)
published = dict(metric='mIoU', value=47.9, multi_scale=48.7, source='YuHengsss/VSSD, readme.md')
