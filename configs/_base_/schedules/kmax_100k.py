# kMaX-DeepLab's recipe: 32 GPUs of 2 images.
max_iters = 100_000
warmup_iters = 5000
val_interval = 5000
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-4, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='denseformer.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(backbone_lr_mult=0.1, head_no_decay=('norm', 'queries', '_positions')),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end='${warmup_iters}'),
    dict(type='PolyLR', eta_min=0.0, power=0.9, by_epoch=False, begin='${warmup_iters}', end='${max_iters}'),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters='${max_iters}', val_interval='${val_interval}')
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=64)
