_base_ = [
    './_base_/backbones/poolformer.py',
    './_base_/heads/retinanet.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='s12', pretrained='imagenet1k')
optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))
published = dict(metric='bbox_mAP', value=36.2, source='sail-sg/poolformer, detection/README.md')
