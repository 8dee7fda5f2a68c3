_base_ = [
    './_base_/backbones/dinov2.py',
    './_base_/heads/eomt_panoptic.py',
    './_base_/datasets/coco_panoptic_squares.py',
    './_base_/schedules/eomt_coco.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='small', pretrained='reg4_lvd142m', registers=4, patch_size=16, image_size=640)
encoder, epochs, max_iters = dict(query_blocks=3), 24, 177_432
mask_starts, mask_ends = [29564, 73910, 118256], [59128, 103474, 147820]
published = dict(metric='PQ', value=46.7, source='tue-mps/eomt, model_zoo/dinov2.md')
