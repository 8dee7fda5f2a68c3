_base_ = [
    './_base_/backbones/uniformer.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='light_xxs', pretrained='imagenet1k')
published = dict(metric='bbox_mAP', value=42.8, segm_mAP=39.2, source='Sense-X/UniFormer, object_detection/README.md')
