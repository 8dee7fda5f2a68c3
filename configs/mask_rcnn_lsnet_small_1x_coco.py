_base_ = [
    './_base_/backbones/lsnet.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='small', pretrained='imagenet1k', norm_eval=True)
published = dict(metric='bbox_mAP', value=37.4, segm_mAP=34.8, source='jameslahm/lsnet, detection/README.md')
