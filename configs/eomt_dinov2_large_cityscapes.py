_base_ = [
    './_base_/backbones/dinov2.py',
    './_base_/heads/eomt_semantic.py',
    './_base_/datasets/cityscapes_eomt.py',
    './_base_/schedules/eomt.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='large', pretrained='reg4_lvd142m', registers=4, patch_size=16, image_size=1024)
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride='${crop_size}'))
max_iters, val_interval = 19_902, 2000
mask_starts, mask_ends = [3317, 6634, 9951, 13268], [6634, 9951, 13268, 16585]
published = dict(metric='mIoU', value=84.2, source='tue-mps/eomt, model_zoo/dinov2.md')
