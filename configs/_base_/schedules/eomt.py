# EoMT's recipe on ADE20K: 31 epochs of 1262 steps, 16 crops each. Its masks are phased out block by block.
max_iters = 39_122
warmups = [500, 1000]  # steps of what is new, while the transformer stands still, and then of the transformer
val_interval = 5000
mask_starts = [6520, 13040, 19560, 26080]  # for each query block, the first before the others
mask_ends = [13040, 19560, 26080, 32600]
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    clip_grad=dict(max_norm=0.01),
    constructor='denseformer.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay=0.8, decay_from='last_block', decay_everything=True, separate_backbone=True),
)
param_scheduler = dict(
    type='denseformer.TwoStageWarmupLR',
    warmup='${warmups[0]}',
    backbone_warmup='${warmups[1]}',
    end='${max_iters}',
    by_epoch=False,
)
custom_hooks = [dict(type='denseformer.MaskAnnealingHook', starts='${mask_starts}', ends='${mask_ends}')]
train_cfg = dict(type='IterBasedTrainLoop', max_iters='${max_iters}', val_interval='${val_interval}')
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=16)
