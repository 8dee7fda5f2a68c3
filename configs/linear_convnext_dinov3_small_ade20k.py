_base_ = [
    './_base_/backbones/convnext.py',
    './_base_/heads/parts/linear_dinov3.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/linear_40k_cosine.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='small', pretrained='dinov3_lvd1689m', norm_last_only=True, out_indices=(3,), frozen_stages=4)
published = dict(metric='mIoU', value=44.8, source='facebookresearch/dinov3, MODEL_CARD.md')
