_base_ = [
    './_base_/backbones/dinov3.py',
    './_base_/heads/parts/linear_dinov3.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/linear_40k_cosine.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='huge_plus', pretrained='lvd1689m', out_indices=(31,), frozen_stages=32)
published = dict(metric='mIoU', value=54.8, source='facebookresearch/dinov3, MODEL_CARD.md')
