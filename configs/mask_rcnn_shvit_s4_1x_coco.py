_base_ = [
    './_base_/backbones/shvit.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='s4', pretrained='imagenet1k', norm_eval=True)
published = dict(metric='bbox_mAP', value=39.0, segm_mAP=35.9, source='ysj9909/SHViT, downstream/README.md')
