_base_ = [
    './_base_/backbones/dinov2.py',
    './_base_/heads/eomt_panoptic.py',
    './_base_/datasets/coco_panoptic_squares.py',
    './_base_/schedules/eomt_coco.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='large', pretrained='reg4_lvd142m', registers=4, patch_size=16, image_size=640)
published = dict(metric='PQ', value=56.0, source='tue-mps/eomt, model_zoo/dinov2.md')
