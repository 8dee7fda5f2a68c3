_base_ = [
    './_base_/backbones/dinat.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='mini', pretrained='imagenet1k', drop_path_rate=0.2)
published = dict(metric='mIoU', value=45.8, multi_scale=47.2, source='SHI-Labs/Neighborhood-Attention-Transformer, DiNAT.md')
