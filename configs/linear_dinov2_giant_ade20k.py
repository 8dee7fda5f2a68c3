_base_ = [
    './_base_/backbones/parts/dinov2_centered.py',
    './_base_/heads/parts/linear_windows.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/linear_40k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='giant', pretrained='lvd142m', out_indices=(39,), frozen_stages=40)
published = dict(metric='mIoU', value=49.0, source='DINOv2 paper, https://arxiv.org/abs/2304.07193')
