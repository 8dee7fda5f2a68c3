_base_ = [
    './_base_/backbones/lsnet.py',
    './_base_/heads/retinanet.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='base', pretrained='imagenet1k', norm_eval=True)
model = dict(neck=dict(extra_convs=False))
published = dict(metric='bbox_mAP', value=39.2, source='jameslahm/lsnet, detection/README.md')
