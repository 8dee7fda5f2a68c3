_base_ = [
    './_base_/backbones/dinov2.py',
    './_base_/heads/linear.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/linear_40k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='large', pretrained='lvd142m', out_indices=(20, 21, 22, 23), frozen_stages=24, center_pad=True)
image_scale, crop_size = (2560, 640), (640, 640)
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(320, 320)))
published = dict(metric='mIoU (multi-scale)', value=53.1, source='DINOv2 paper, https://arxiv.org/abs/2304.07193')
