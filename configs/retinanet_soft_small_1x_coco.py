_base_ = [
    './_base_/backbones/soft.py',
    './_base_/heads/retinanet.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
# Of the authors' recipe only the schedule is published; rate and decay are those of PVT.
backbone = dict(arch='small', pretrained='imagenet1k')
optim_wrapper = dict(constructor='DefaultOptimWrapperConstructor', optimizer=dict(weight_decay=1e-4))
published = dict(metric='bbox_mAP', value=42.8, source='fudan-zvg/SOFT, README.md')
