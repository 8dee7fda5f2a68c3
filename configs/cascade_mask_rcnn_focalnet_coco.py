_base_ = [
    './_base_/backbones/focalnet.py',
    './_base_/heads/cascade_mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='tiny_lrf', pretrained='imagenet1k', windows=(11, 9, 9, 7), drop_path_rate=0.3)
published = dict(metric='bbox_mAP', value=51.5, source='microsoft/FocalNet, README.md')
