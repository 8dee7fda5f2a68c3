# DDQ's recipe for large backbones: 30 epochs, 8 GPUs of 2 images.
_base_ = './detr_3x.py'
epochs = 30
steps = [20, 26]
warmup_iters = 2000
optim_wrapper = dict(
    optimizer=dict(lr=2e-4, weight_decay=0.05), paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.05)))
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=False, begin=0, end='${warmup_iters}'),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end='${epochs}', milestones='${steps}', gamma=0.1),
]
