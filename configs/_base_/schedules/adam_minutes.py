# A few minutes on two CPU cores, for demonstrations: a high rate that falls to zero.
_base_ = './adam_500k.py'
max_iters = 800
warmup_iters = 30
val_interval = '${max_iters}'
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end='${warmup_iters}'),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False, begin='${warmup_iters}', end='${max_iters}'),
]
