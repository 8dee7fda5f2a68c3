# RTMDet's recipe for backbones with weights, https://arxiv.org/abs/2212.07784: 90 epochs of mosaics that are laid over
# one another, ten of single images; the weights are averaged; 4 GPUs of 32 images.
epochs = 100
constant_until = 50  # the epoch from which on the learning rate falls, for as many epochs again
single_from = 90  # the epoch from which on images are single
warmup_iters = 1000
val_interval = 10
crop_size = (640, 640)
mosaic_size = (1280, 1280)
_objects = dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1), keep_empty=False)
_gray = dict(img=(114, 114, 114))
_crop = [
    dict(type='RandomCrop', crop_size='${crop_size}', recompute_bbox=True, allow_negative_crop=True),
    _objects,
    dict(type='YOLOXHSVRandomAug'),
    dict(type='Pad', size='${crop_size}', pad_val=_gray),
]
_single = [dict(type='RandomResize', scale='${crop_size}', ratio_range=(0.1, 2.0), keep_ratio=True), *_crop]
augmentation = [
    [
        dict(type='CachedMosaic', img_scale='${crop_size}'),
        dict(type='RandomResize', scale='${mosaic_size}', ratio_range=(0.1, 2.0), keep_ratio=True),
        *_crop,
        dict(type='CachedMixUp', img_scale='${crop_size}', ratio_range=(1.0, 1.0)),
        _objects,
    ]
]
custom_hooks = [
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=2e-4, update_buffers=True),
    dict(
        type='PipelineSwitchHook',
        switch_epoch='${single_from}',
        switch_pipeline=[
            dict(type='denseformer.LoadImage'),
            dict(type='denseformer.LoadInstances', with_mask='${with_mask}'),
            dict(type='RandomFlip', prob=0.5),
            *_single,
            dict(type='PackDetInputs'),
        ],
    ),
]
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    constructor='denseformer.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(vector_decay=False),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-5, by_epoch=False, begin=0, end='${warmup_iters}'),
    dict(
        type='CosineAnnealingLR',
        eta_min=5e-5,
        begin='${constant_until}',
        end='${epochs}',
        T_max='${constant_until}',
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(
    type='EpochBasedTrainLoop',
    max_epochs='${epochs}',
    val_interval='${val_interval}',
    dynamic_intervals=[('${single_from}', 1)],
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=128)
