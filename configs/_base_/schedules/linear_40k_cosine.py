# A linear head on a frozen DINOv3, as its authors train it: 40000 steps of 16 images.
_base_ = './linear_40k.py'
optim_wrapper = dict(optimizer=dict(weight_decay=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end='${warmup_iters}'),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin='${warmup_iters}', end='${max_iters}'),
]
