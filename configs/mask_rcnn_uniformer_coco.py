_base_ = [
    './_base_/backbones/uniformer.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='small', pretrained='imagenet1k', windows='hybrid14', drop_path_rate=0.1)
published = dict(metric='bbox_mAP', value=48.2, segm_mAP=43.4, source='Sense-X/UniFormer, object_detection/README.md')
