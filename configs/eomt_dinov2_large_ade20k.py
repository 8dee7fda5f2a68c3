_base_ = [
    './_base_/backbones/dinov2.py',
    './_base_/heads/eomt_semantic.py',
    './_base_/datasets/ade20k_eomt.py',
    './_base_/schedules/eomt.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='large', pretrained='reg4_lvd142m', registers=4, patch_size=16, image_size=512)
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride='${crop_size}'))
published = dict(metric='mIoU', value=58.4, source='tue-mps/eomt, model_zoo/dinov2.md')
