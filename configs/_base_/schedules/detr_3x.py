# The recipe of DETR's successors, as DINO has it for 36 epochs: many scales, no warm-up, 8 GPUs of 2 images.
_base_ = './adamw_3x.py'
optim_wrapper = dict(
    optimizer=dict(weight_decay=1e-4),
    clip_grad=dict(max_norm=0.1),
    constructor='DefaultOptimWrapperConstructor',
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))),
)
param_scheduler = [dict(type='MultiStepLR', by_epoch=True, begin=0, end='${epochs}', milestones='${steps}', gamma=0.1)]
