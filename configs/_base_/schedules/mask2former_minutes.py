# Mask2Former on the sample set, in minutes on two CPU cores. Its queries take long to learn classes from a backbone that
# knows none: start with --load-from the network that `make demo` trains.
epochs = 24
warmup_iters = 50
val_interval = 12
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=1.0),
    constructor='denseformer.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(head_no_decay=('norm', '.gn.', 'query_', 'level_')),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end='${warmup_iters}'),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=True, begin=0, end='${epochs}', convert_to_iter_based=True),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs='${epochs}', val_interval='${val_interval}')
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=4)
