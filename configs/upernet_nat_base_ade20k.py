_base_ = [
    './_base_/backbones/nat.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='base', pretrained='imagenet1k', drop_path_rate=0.5)
published = dict(metric='mIoU', value=48.5, multi_scale=49.7, source='SHI-Labs/Neighborhood-Attention-Transformer, NAT.md')
