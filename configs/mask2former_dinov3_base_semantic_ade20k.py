# The authors published this head on their 7B alone. The rates are Mask2Former's.
_base_ = [
    './_base_/backbones/dinov3_adapter.py',
    './_base_/heads/mask2former_semantic.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/mask2former_160k_adapter.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='dinov3_base', pretrained='dinov3_base_lvd1689m', finetune='head')
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(341, 341)))
