_base_ = [
    './_base_/backbones/uniformer.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='base', pretrained='imagenet1k', windows='hybrid14', drop_path_rate=0.3)
published = dict(metric='bbox_mAP', value=47.4, segm_mAP=43.1, source='Sense-X/UniFormer, object_detection/README.md')
