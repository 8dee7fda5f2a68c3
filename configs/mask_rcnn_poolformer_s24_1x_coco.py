_base_ = [
    './_base_/backbones/poolformer.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='s24', pretrained='imagenet1k')
optim_wrapper = dict(optimizer=dict(lr=2e-4, weight_decay=1e-4))
published = dict(metric='bbox_mAP', value=40.1, segm_mAP=37.0, source='sail-sg/poolformer, detection/README.md')
