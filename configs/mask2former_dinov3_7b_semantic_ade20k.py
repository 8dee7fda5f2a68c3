# The authors train this head on other datasets first, by code that is not published: the rates are Mask2Former's.
_base_ = [
    './_base_/backbones/dinov3_adapter.py',
    './_base_/heads/mask2former_semantic.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/mask2former_160k_adapter.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='dinov3_7b', pretrained='dinov3_7b_lvd1689m', finetune='head')
head = dict(width=2048, num_heads=16, encoder_hidden=4096, decoder_hidden=4096)
image_scale, crop_size, cat_max_ratio = (3584, 896), (896, 896), 1.0
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(596, 596)))
published = dict(metric='mIoU', value=62.6, multi_scale=63.0, source='DINOv3 paper, https://arxiv.org/abs/2508.10104')
