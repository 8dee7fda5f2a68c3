_base_ = [
    './_base_/backbones/focalnet.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x_multiscale.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='base_lrf', pretrained='imagenet1k', drop_path_rate=0.3)
steps = [9, 11]
published = dict(metric='bbox_mAP', value=49.0, segm_mAP=43.5, source='microsoft/FocalNet, README.md')
