# The authors show no config of this size: its drop path rate is the one they detect with.
_base_ = [
    './_base_/backbones/vssd.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='micro', pretrained='imagenet1k', drop_path_rate=0.1)
published = dict(metric='mIoU', value=45.6, multi_scale=46.0, source='YuHengsss/VSSD, readme.md')
