_base_ = [
    './_base_/backbones/dinov3.py',
    './_base_/heads/parts/linear_dinov3.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/linear_40k_cosine.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='7b', pretrained='lvd1689m', out_indices=(39,), frozen_stages=40)
published = dict(metric='mIoU', value=55.9, source='facebookresearch/dinov3, MODEL_CARD.md')
