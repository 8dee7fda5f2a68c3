_base_ = [
    './_base_/backbones/focalnet.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='base_lrf', pretrained='imagenet1k', drop_path_rate=0.5)
published = dict(metric='bbox_mAP', value=49.8, segm_mAP=44.1, source='microsoft/FocalNet, README.md')
