_base_ = [
    './_base_/backbones/uniformer.py',
    './_base_/heads/cascade_mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='base', pretrained='imagenet1k', windows='hybrid14', drop_path_rate=0.4)
published = dict(metric='bbox_mAP', value=53.8, segm_mAP=46.4, source='Sense-X/UniFormer, object_detection/README.md')
