# FashionFormer's recipe: 36 epochs of large-scale jitter, 8 GPUs of 2 images.
_base_ = './adamw_lsj.py'
epochs = 36
steps = [24, 33]
warmup_iters = 1000
val_interval = 3
optim_wrapper = dict(
    clip_grad=dict(max_norm=1.0),
    constructor='DefaultOptimWrapperConstructor',
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.25))),
)
