# YOLOv8's recipe from random weights, as Mamba YOLO has it: mosaics of four images, the last ten epochs of single ones,
# 8 GPUs of 64 images. The learning rate of biases starts as the others' does, where the authors begin with 0.1; colors
# vary by mmdetection's rule; how long images are single is YOLOv8's default.
epochs = 300
single_from = 290  # the epoch from which on images are single
warmup_epochs = 3
val_interval = 10
crop_size = (640, 640)
_gray = dict(img=(114, 114, 114))
_objects = dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1), keep_empty=False)
augmentation = [
    [
        dict(type='CachedMosaic', img_scale='${crop_size}'),
        dict(
            type='RandomAffine',
            max_rotate_degree=0.0,
            max_shear_degree=0.0,
            scaling_ratio_range=(0.5, 1.5),
            border=(-320, -320),  # of a mosaic that is twice as high and wide as the crop
        ),
        _objects,
        dict(type='YOLOXHSVRandomAug'),
    ]
]
custom_hooks = [
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=1e-4, gamma=2000, update_buffers=True),
    dict(
        type='PipelineSwitchHook',
        switch_epoch='${single_from}',
        switch_pipeline=[
            dict(type='denseformer.LoadImage'),
            dict(type='denseformer.LoadInstances', with_mask='${with_mask}'),
            dict(type='RandomFlip', prob=0.5),
            dict(type='RandomResize', scale='${crop_size}', ratio_range=(0.5, 1.5), keep_ratio=True),
            dict(type='RandomCrop', crop_size='${crop_size}', recompute_bbox=True, allow_negative_crop=True),
            _objects,
            dict(type='YOLOXHSVRandomAug'),
            dict(type='Pad', size='${crop_size}', pad_val=_gray),
            dict(type='PackDetInputs'),
        ],
    ),
]
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.937, nesterov=True, weight_decay=4e-3),  # 5e-4 for each 64 images
    clip_grad=dict(max_norm=10.0),
    constructor='denseformer.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(vector_decay=False),
)
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1e-3, begin=0, end='${warmup_epochs}', by_epoch=True, convert_to_iter_based=True
    ),
    dict(
        type='LinearMomentum',
        start_factor=0.854,
        begin=0,
        end='${warmup_epochs}',
        by_epoch=True,
        convert_to_iter_based=True,
    ),
    dict(type='LinearLR', start_factor=1.0, end_factor=0.01, begin='${warmup_epochs}', end='${epochs}', by_epoch=True),
]
train_cfg = dict(
    type='EpochBasedTrainLoop',
    max_epochs='${epochs}',
    val_interval='${val_interval}',
    dynamic_intervals=[('${single_from}', 1)],
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=512)
