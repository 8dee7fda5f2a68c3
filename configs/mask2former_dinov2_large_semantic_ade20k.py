# The authors published this head on their giant alone. The rates are Mask2Former's.
_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/mask2former_semantic.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/mask2former_160k_adapter.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='dinov2_large', pretrained='dinov2_large_lvd142m_518', finetune='head')
image_scale, crop_size = (2688, 672), (672, 672)
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(448, 448)))
