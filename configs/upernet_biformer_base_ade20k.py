_base_ = [
    './_base_/backbones/biformer.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='base', pretrained='imagenet1k', drop_path_rate=0.4)
published = dict(metric='mIoU', value=51.0, multi_scale=51.7, source='rayleizhu/BiFormer, semantic_segmentation/README.md')
