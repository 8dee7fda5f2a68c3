_base_ = [
    './_base_/backbones/crossformer.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='pp_base', pretrained='imagenet1k', drop_path_rate=0.3)
optim_wrapper = dict(constructor='DefaultOptimWrapperConstructor', optimizer=dict(weight_decay=1e-4))
published = dict(metric='bbox_mAP', value=47.7, segm_mAP=43.2, source='cheerss/CrossFormer, README.md')
