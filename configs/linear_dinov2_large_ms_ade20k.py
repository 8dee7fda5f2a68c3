_base_ = [
    './_base_/backbones/parts/dinov2_centered.py',
    './_base_/heads/parts/linear_windows_640.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/linear_40k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='large', pretrained='lvd142m', out_indices=(20, 21, 22, 23), frozen_stages=24)
image_scale, crop_size = (2560, 640), (640, 640)
published = dict(metric='mIoU (multi-scale)', value=53.1, source='DINOv2 paper, https://arxiv.org/abs/2304.07193')
