_base_ = [
    './_base_/backbones/lsnet.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='tiny', pretrained='imagenet1k', norm_eval=True)
published = dict(metric='bbox_mAP', value=35.0, segm_mAP=32.7, source='jameslahm/lsnet, detection/README.md')
