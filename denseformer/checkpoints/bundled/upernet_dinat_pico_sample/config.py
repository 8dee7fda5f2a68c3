auto_scale_lr = dict(base_batch_size=4, enable=False)
backbone = dict(
    arch=dict(
        depths=(
            2,
            2,
            4,
            1,
        ), heads=(
            1,
            2,
            4,
            8,
        ), mlp_ratio=2, width=24),
    dilations=(
        (
            1,
            4,
        ),
        (
            1,
            2,
        ),
        (
            1,
            1,
            1,
            1,
        ),
        (1, ),
    ),
    type='denseformer.DiNAT')
batch_size = 4
cat_max_ratio = 0.75
channels = (
    24,
    48,
    96,
    192,
)
crop_size = (
    128,
    128,
)
custom_imports = dict(imports=[
    'denseformer',
])
data_root = 'data/sample'
default_hooks = dict(
    auxiliary_losses=dict(type='denseformer.AuxiliaryLossHook'),
    checkpoint=dict(
        by_epoch=False,
        interval=400,
        max_keep_ckpts=3,
        save_best='mIoU',
        type='denseformer.CheckpointHook'),
    iteration_seed=dict(type='denseformer.IterationSeedHook'),
    logger=dict(interval=50, log_metric_by_epoch=False, type='LoggerHook'),
    nan_guard=dict(skip=0, type='denseformer.NaNGuardHook'),
    param_scheduler=dict(type='ParamSchedulerHook'),
    preemption=dict(type='denseformer.PreemptionHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    timer=dict(type='IterTimerHook'))
default_scope = 'mmseg'
env_cfg = dict(
    cudnn_benchmark=True,
    dist_cfg=dict(backend='nccl'),
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0))
image_mean = [
    123.675,
    116.28,
    103.53,
]
image_scale = (
    160,
    160,
)
image_std = [
    58.395,
    57.12,
    57.375,
]
key_metric = 'mIoU'
levels = (
    0,
    1,
    2,
    3,
)
log_interval = 50
log_level = 'INFO'
log_processor = dict(by_epoch=False)
max_iters = 1200
model = dict(
    auxiliary_head=dict(
        align_corners=False,
        channels=32,
        concat_input=False,
        dropout_ratio=0.1,
        in_channels=96,
        in_index=-2,
        loss_decode=dict(loss_weight=0.4, type='CrossEntropyLoss'),
        norm_cfg=dict(type='BN'),
        num_classes=8,
        num_convs=1,
        type='FCNHead'),
    backbone=dict(
        arch=dict(
            depths=(
                2,
                2,
                4,
                1,
            ), heads=(
                1,
                2,
                4,
                8,
            ), mlp_ratio=2, width=24),
        dilations=(
            (
                1,
                4,
            ),
            (
                1,
                2,
            ),
            (
                1,
                1,
                1,
                1,
            ),
            (1, ),
        ),
        type='denseformer.DiNAT'),
    data_preprocessor=dict(
        bgr_to_rgb=True,
        mean=[
            123.675,
            116.28,
            103.53,
        ],
        seg_pad_val=255,
        size=(
            128,
            128,
        ),
        std=[
            58.395,
            57.12,
            57.375,
        ],
        type='SegDataPreProcessor'),
    decode_head=dict(
        align_corners=False,
        channels=48,
        dropout_ratio=0.1,
        in_channels=(
            24,
            48,
            96,
            192,
        ),
        in_index=(
            0,
            1,
            2,
            3,
        ),
        loss_decode=dict(loss_weight=1.0, type='CrossEntropyLoss'),
        norm_cfg=dict(type='BN'),
        num_classes=8,
        pool_scales=(
            1,
            2,
            3,
            6,
        ),
        type='UPerHead'),
    test_cfg=dict(mode='whole'),
    type='EncoderDecoder')
num_classes = 8
num_workers = 2
optim_wrapper = dict(
    clip_grad=dict(max_norm=5.0),
    constructor='denseformer.LayerDecayOptimWrapperConstructor',
    optimizer=dict(
        betas=(
            0.9,
            0.999,
        ), lr=0.002, type='AdamW', weight_decay=0.01),
    type='OptimWrapper')
param_scheduler = [
    dict(begin=0, by_epoch=False, end=50, start_factor=1e-06, type='LinearLR'),
    dict(
        begin=50,
        by_epoch=False,
        end=1200,
        eta_min=0.0,
        power=1.0,
        type='PolyLR'),
]
reduce_zero_label = False
scale_range = (
    0.8,
    1.25,
)
strides = (
    4,
    8,
    16,
    32,
)
sync_bn = 'torch'
test_cfg = dict(type='TestLoop')
test_dataloader = dict(
    batch_size=1,
    dataset=dict(
        data_prefix=dict(
            img_path='images/validation',
            seg_map_path='annotations/validation'),
        data_root='data/sample',
        pipeline=[
            dict(type='denseformer.LoadImage'),
            dict(
                num_classes=8,
                reduce_zero_label=False,
                type='denseformer.LoadSegmentation'),
            dict(
                multiple=1, scale=(
                    160,
                    160,
                ), type='denseformer.ResizeImage'),
            dict(type='PackSegInputs'),
        ],
        type='denseformer.SampleDataset'),
    num_workers=2,
    persistent_workers=True,
    sampler=dict(shuffle=False, type='DefaultSampler'))
test_evaluator = dict(type='denseformer.SegmentationMetric')
test_multiple = 1
test_pipeline = [
    dict(type='denseformer.LoadImage'),
    dict(
        num_classes=8,
        reduce_zero_label=False,
        type='denseformer.LoadSegmentation'),
    dict(multiple=1, scale=(
        160,
        160,
    ), type='denseformer.ResizeImage'),
    dict(type='PackSegInputs'),
]
train_cfg = dict(max_iters=1200, type='IterBasedTrainLoop', val_interval=400)
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        data_prefix=dict(
            img_path='images/training', seg_map_path='annotations/training'),
        data_root='data/sample',
        pipeline=[
            dict(type='denseformer.LoadImage'),
            dict(num_classes=8, type='denseformer.LoadSegmentation'),
            dict(
                keep_ratio=True,
                ratio_range=(
                    0.8,
                    1.25,
                ),
                scale=(
                    160,
                    160,
                ),
                type='RandomResize'),
            dict(
                cat_max_ratio=0.75, crop_size=(
                    128,
                    128,
                ), type='RandomCrop'),
            dict(prob=0.5, type='RandomFlip'),
            dict(type='PackSegInputs'),
        ],
        type='denseformer.SampleDataset'),
    num_workers=2,
    persistent_workers=True,
    sampler=dict(shuffle=True, type='InfiniteSampler'))
train_pipeline = [
    dict(type='denseformer.LoadImage'),
    dict(num_classes=8, type='denseformer.LoadSegmentation'),
    dict(
        keep_ratio=True,
        ratio_range=(
            0.8,
            1.25,
        ),
        scale=(
            160,
            160,
        ),
        type='RandomResize'),
    dict(cat_max_ratio=0.75, crop_size=(
        128,
        128,
    ), type='RandomCrop'),
    dict(prob=0.5, type='RandomFlip'),
    dict(type='PackSegInputs'),
]
tta_model = dict(type='SegTTAModel')
tta_pipeline = [
    dict(type='denseformer.LoadImage'),
    dict(
        num_classes=8,
        reduce_zero_label=False,
        type='denseformer.LoadSegmentation'),
    dict(
        transforms=[
            [
                dict(
                    multiple=1,
                    ratio=0.5,
                    scale=(
                        160,
                        160,
                    ),
                    type='denseformer.ResizeImage'),
                dict(
                    multiple=1,
                    ratio=0.75,
                    scale=(
                        160,
                        160,
                    ),
                    type='denseformer.ResizeImage'),
                dict(
                    multiple=1,
                    ratio=1,
                    scale=(
                        160,
                        160,
                    ),
                    type='denseformer.ResizeImage'),
                dict(
                    multiple=1,
                    ratio=1.25,
                    scale=(
                        160,
                        160,
                    ),
                    type='denseformer.ResizeImage'),
                dict(
                    multiple=1,
                    ratio=1.5,
                    scale=(
                        160,
                        160,
                    ),
                    type='denseformer.ResizeImage'),
                dict(
                    multiple=1,
                    ratio=1.75,
                    scale=(
                        160,
                        160,
                    ),
                    type='denseformer.ResizeImage'),
            ],
            [
                dict(prob=0.0, type='RandomFlip'),
                dict(prob=1.0, type='RandomFlip'),
            ],
            [
                dict(type='PackSegInputs'),
            ],
        ],
        type='TestTimeAug'),
]
val_cfg = dict(type='ValLoop')
val_dataloader = dict(
    batch_size=1,
    dataset=dict(
        data_prefix=dict(
            img_path='images/validation',
            seg_map_path='annotations/validation'),
        data_root='data/sample',
        pipeline=[
            dict(type='denseformer.LoadImage'),
            dict(
                num_classes=8,
                reduce_zero_label=False,
                type='denseformer.LoadSegmentation'),
            dict(
                multiple=1, scale=(
                    160,
                    160,
                ), type='denseformer.ResizeImage'),
            dict(type='PackSegInputs'),
        ],
        type='denseformer.SampleDataset'),
    num_workers=2,
    persistent_workers=True,
    sampler=dict(shuffle=False, type='DefaultSampler'))
val_evaluator = dict(type='denseformer.SegmentationMetric')
val_interval = 400
warmup_iters = 50
