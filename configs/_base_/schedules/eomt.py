# EoMT's recipe where it trains on crops: 16 images a step. Its masks are phased out block by block.
# The authors hold the backbone still for the first 500 steps of its warm-up, and decay norms and tokens too.
max_iters = 39_000
warmup_iters = 1500
val_interval = 5000
mask_starts = [6520, 13040, 19560, 26080]  # for each query block, the first before the others
mask_ends = [13040, 19560, 26080, 32600]
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    clip_grad=dict(max_norm=0.01),
    constructor='denseformer.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay=0.8),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end='${warmup_iters}'),
    dict(type='PolyLR', eta_min=0.0, power=0.9, by_epoch=False, begin='${warmup_iters}', end='${max_iters}'),
]
custom_hooks = [dict(type='denseformer.MaskAnnealingHook', starts='${mask_starts}', ends='${mask_ends}')]
train_cfg = dict(type='IterBasedTrainLoop', max_iters='${max_iters}', val_interval='${val_interval}')
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=16)
