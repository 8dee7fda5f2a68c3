_base_ = [
    './_base_/backbones/dinov2.py',
    './_base_/heads/eomt_panoptic.py',
    './_base_/datasets/coco_panoptic_squares.py',
    './_base_/schedules/eomt_coco.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='base', pretrained='reg4_lvd142m', registers=4, patch_size=16, image_size=640)
encoder = dict(query_blocks=3)
mask_starts, mask_ends = [14782, 36955, 59128], [29564, 51737, 73910]
published = dict(metric='PQ', value=50.6, source='tue-mps/eomt, model_zoo/dinov2.md')
