_base_ = [
    './_base_/backbones/efficientvit.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='m4', pretrained='imagenet1k', norm_eval=True)
published = dict(metric='segm_mAP', value=31.0, source='microsoft/Cream, EfficientViT/downstream/README.md')
