_base_ = [
    './_base_/backbones/focalnet.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x_multiscale.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='tiny_lrf', pretrained='imagenet1k', drop_path_rate=0.1)
steps = [9, 11]
published = dict(metric='bbox_mAP', value=46.1, segm_mAP=41.5, source='microsoft/FocalNet, README.md')
