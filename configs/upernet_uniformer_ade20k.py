_base_ = [
    './_base_/backbones/uniformer.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='small', pretrained='imagenet1k', windows='global', drop_path_rate=0.25)
published = dict(metric='mIoU', value=47.6, multi_scale=48.5, source='Sense-X/UniFormer, semantic_segmentation/README.md')
