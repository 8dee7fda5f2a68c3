# The published result starts from the network trained on COCO: --load-from its checkpoint.
_base_ = [
    './_base_/backbones/dinov2.py',
    './_base_/heads/eomt_panoptic.py',
    './_base_/datasets/ade20k_panoptic_squares.py',
    './_base_/schedules/eomt.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='giant', pretrained='reg4_lvd142m', registers=4, patch_size=16, image_size=1280)
crop_size = (1280, 1280)
encoder = dict(query_blocks=5)
mask_starts, mask_ends = [6520, 11410, 16300, 21190, 26080], [13040, 17930, 22820, 27710, 32600]
published = dict(metric='PQ', value=52.8, source='tue-mps/eomt, model_zoo/dinov2.md')
