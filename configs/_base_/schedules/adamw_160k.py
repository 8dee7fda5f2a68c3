# The recipe that almost every attention backbone publishes its UPerNet result with: 8 GPUs of 2 images.
max_iters = 160_000
warmup_iters = 1500
val_interval = 16_000
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01),
    constructor='denseformer.LayerDecayOptimWrapperConstructor',
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end='${warmup_iters}'),
    dict(type='PolyLR', eta_min=0.0, power=1.0, by_epoch=False, begin='${warmup_iters}', end='${max_iters}'),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters='${max_iters}', val_interval='${val_interval}')
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=16)
