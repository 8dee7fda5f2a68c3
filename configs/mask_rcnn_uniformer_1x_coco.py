_base_ = [
    './_base_/backbones/uniformer.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='small', pretrained='imagenet1k', windows='hybrid14', drop_path_rate=0.2)
published = dict(metric='bbox_mAP', value=45.6, segm_mAP=41.6, source='Sense-X/UniFormer, object_detection/README.md')
