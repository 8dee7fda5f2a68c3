_base_ = [
    './_base_/backbones/dinat_s.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='large', pretrained='imagenet22k', drop_path_rate=0.3)
published = dict(metric='mIoU', value=53.4, multi_scale=54.6, source='SHI-Labs/Neighborhood-Attention-Transformer, DiNAT.md')
