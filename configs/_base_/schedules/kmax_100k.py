# kMaX-DeepLab's recipe: 32 GPUs of 2 images. Segments of another image of half the size are pasted into each: all things,
# and a random share of the stuff. A config takes that in with augmentation='${pasting}'; needs of its bases: crop_size,
# scale_range.
max_iters = 100_000
warmup_iters = 5000
val_interval = 5000
pasted_range = (0.25, 1.0)  # half of scale_range
_cropped = [
    dict(type='PhotoMetricDistortion'),
    dict(type='RandomCrop', crop_size='${crop_size}', recompute_bbox=True, allow_negative_crop=True),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1), by_mask=True, keep_empty=False),
]
_other = [
    dict(type='denseformer.LoadImage'),
    dict(type='denseformer.LoadPanoptic'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomResize', scale='${crop_size}', ratio_range='${pasted_range}', keep_ratio=True),
    *_cropped,
]
pasting = [
    [
        dict(type='RandomResize', scale='${crop_size}', ratio_range='${scale_range}', keep_ratio=True),
        *_cropped,
        dict(type='denseformer.PasteSegments', transforms=_other),
    ]
]
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
