_base_ = [
    './_base_/backbones/shvit.py',
    './_base_/heads/retinanet.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='s4', pretrained='imagenet1k', norm_eval=True)
model = dict(neck=dict(extra_convs=False))
published = dict(metric='bbox_mAP', value=38.8, source='ysj9909/SHViT, downstream/README.md')
