_base_ = [
    './_base_/backbones/parts/dinov2_centered.py',
    './_base_/heads/parts/linear_windows.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/linear_40k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='small', pretrained='lvd142m', out_indices=(11,), frozen_stages=12)
published = dict(metric='mIoU', value=44.3, source='DINOv2 paper, https://arxiv.org/abs/2304.07193')
