_base_ = [
    './_base_/backbones/dinat_s.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='small', pretrained='imagenet1k', drop_path_rate=0.3)
published = dict(metric='mIoU', value=48.6, multi_scale=49.9, source='SHI-Labs/Neighborhood-Attention-Transformer, DiNAT.md')
