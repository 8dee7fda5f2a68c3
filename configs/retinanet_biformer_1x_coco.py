_base_ = [
    './_base_/backbones/biformer.py',
    './_base_/heads/retinanet.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='small', pretrained='imagenet1k', windows_per_side=16, norm_eval=True, drop_path_rate=0.2)
optim_wrapper = dict(constructor='DefaultOptimWrapperConstructor', optimizer=dict(weight_decay=1e-4))
published = dict(metric='bbox_mAP', value=45.9, source='rayleizhu/BiFormer, object_detection/README.md')
