_base_ = [
    './_base_/backbones/dinov2.py',
    './_base_/heads/eomt_panoptic.py',
    './_base_/datasets/coco_panoptic_squares.py',
    './_base_/schedules/eomt_coco.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='giant', pretrained='reg4_lvd142m', registers=4, patch_size=16, image_size=1280)
encoder = dict(query_blocks=5)
crop_size = (1280, 1280)
mask_starts, mask_ends = [14782, 25869, 36955, 48042, 59128], [29564, 40651, 51737, 62824, 73910]
published = dict(metric='PQ', value=59.2, source='tue-mps/eomt, model_zoo/dinov2.md')
