_base_ = [
    './_base_/backbones/crossformer.py',
    './_base_/heads/retinanet.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='small', pretrained='imagenet1k', drop_path_rate=0.2)
optim_wrapper = dict(constructor='DefaultOptimWrapperConstructor', optimizer=dict(weight_decay=1e-4))
published = dict(metric='bbox_mAP', value=44.4, source='cheerss/CrossFormer, README.md')
