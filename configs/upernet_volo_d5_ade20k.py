# No recipe for dense tasks was published: this is the common one of attention backbones.
_base_ = [
    './_base_/backbones/volo.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='d5', pretrained='imagenet_1k_token_labelling')
published = dict(metric='mIoU (multi-scale)', value=54.3, source='the VOLO paper, abstract')
