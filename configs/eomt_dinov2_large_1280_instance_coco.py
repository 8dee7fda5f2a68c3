_base_ = [
    './_base_/backbones/dinov2.py',
    './_base_/heads/eomt.py',
    './_base_/datasets/coco_instance_squares.py',
    './_base_/schedules/eomt_coco_instance.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='large', pretrained='reg4_lvd142m', registers=4, patch_size=16, image_size=1280)
crop_size = (1280, 1280)
published = dict(metric='segm_mAP', value=48.8, source='tue-mps/eomt, model_zoo/dinov2.md')
