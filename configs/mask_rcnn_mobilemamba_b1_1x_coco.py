_base_ = [
    './_base_/backbones/mobilemamba.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='b1', pretrained='imagenet1k', drop_path_rate=0.03, norm_eval=True)
optim_wrapper = dict(optimizer=dict(lr=2e-4), clip_grad=dict(max_norm=0.1, norm_type=2))
_cosine = dict(type='CosineAnnealingLR', by_epoch=True, begin=6, end=12, T_max=6, eta_min=0)
param_scheduler = [dict(type='LinearLR', start_factor=1e-5, by_epoch=False, begin=0, end=500), _cosine]
published = dict(metric='bbox_mAP', value=40.6, segm_mAP=37.4, source='lewandofskee/MobileMamba, README.md')
