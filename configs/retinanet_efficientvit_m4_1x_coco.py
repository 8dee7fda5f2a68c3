_base_ = [
    './_base_/backbones/efficientvit.py',
    './_base_/heads/retinanet.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='m4', pretrained='imagenet1k', norm_eval=True)
model = dict(neck=dict(extra_convs=False))
published = dict(metric='bbox_mAP', value=32.7, source='microsoft/Cream, EfficientViT/downstream/README.md')
