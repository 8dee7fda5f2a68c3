_base_ = [
    './_base_/backbones/uniformer.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='light_xs', pretrained='imagenet1k', drop_path_rate=0.15)
published = dict(metric='bbox_mAP', value=44.6, segm_mAP=40.9, source='Sense-X/UniFormer, object_detection/README.md')
