# RT-DETR's recipe: 72 epochs at one rate, averaged weights, 4 GPUs of 4 images.
epochs = 72
val_interval = 1
_boxes = dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1), keep_empty=False)
augmentation = [
    [
        dict(type='RandomApply', prob=0.5, transforms=[dict(type='PhotoMetricDistortion')]),
        dict(type='Expand', mean=[0, 0, 0], to_rgb=False, ratio_range=(1, 4), prob=0.5),
        dict(type='RandomApply', prob=0.8, transforms=[dict(type='MinIoURandomCrop')]),
        _boxes,
        dict(type='Resize', scale='${image_scale}', keep_ratio=False),
        _boxes,
    ]
]
custom_hooks = [dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=1e-4, gamma=2000, update_buffers=True)]
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=1e-4),
    clip_grad=dict(max_norm=0.1),
    constructor='denseformer.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(backbone_lr_mult=0.1, vector_decay=False),
)
param_scheduler = [dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=2000)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs='${epochs}', val_interval='${val_interval}')
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=16)
