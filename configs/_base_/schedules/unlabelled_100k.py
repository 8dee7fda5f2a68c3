# Training without labels: 100000 steps, AdamW to smallest_rate, nothing to validate on.
max_iters = 100_000
warmup_iters = 1500
smallest_rate = 5e-6
val_interval = 10_000  # between checkpoints
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='denseformer.LayerDecayOptimWrapperConstructor',
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end='${warmup_iters}'),
    dict(type='CosineAnnealingLR', eta_min='${smallest_rate}', by_epoch=False, begin='${warmup_iters}', end='${max_iters}'),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters='${max_iters}')
val_cfg = None
test_cfg = None
auto_scale_lr = dict(enable=False, base_batch_size=16)
