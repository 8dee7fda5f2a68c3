_base_ = [
    './_base_/backbones/crossformer.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='pp_small', pretrained='imagenet1k', drop_path_rate=0.2)
optim_wrapper = dict(constructor='DefaultOptimWrapperConstructor', optimizer=dict(weight_decay=1e-4))
published = dict(metric='bbox_mAP', value=46.4, segm_mAP=42.1, source='cheerss/CrossFormer, README.md')
