_base_ = [
    './_base_/backbones/dinov3.py',
    './_base_/heads/parts/linear_dinov3.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/linear_40k_cosine.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='base', pretrained='lvd1689m', out_indices=(11,), frozen_stages=12)
published = dict(metric='mIoU', value=51.8, source='facebookresearch/dinov3, MODEL_CARD.md')
