# "1x" of the detection literature: 12 epochs at one scale, 8 GPUs of 2 images.
epochs = 12
steps = [8, 11]  # the epochs after which the learning rate falls to a tenth
warmup_iters = 500
val_interval = 1
augmentation = [[dict(type='Resize', scale='${image_scale}', keep_ratio=True)]]
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='denseformer.LayerDecayOptimWrapperConstructor',
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end='${warmup_iters}'),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end='${epochs}', milestones='${steps}', gamma=0.1),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs='${epochs}', val_interval='${val_interval}')
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=16)
