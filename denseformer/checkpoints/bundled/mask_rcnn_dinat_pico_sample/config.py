anchor_scale = 4
augmentation = [
    [
        dict(keep_ratio=True, scale=(
            160,
            160,
        ), type='Resize'),
    ],
]
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
channels = (
    24,
    48,
    96,
    192,
)
custom_imports = dict(imports=[
    'denseformer',
])
data_root = 'data/sample'
default_hooks = dict(
    auxiliary_losses=dict(type='denseformer.AuxiliaryLossHook'),
    checkpoint=dict(
        by_epoch=True,
        interval=4,
        max_keep_ckpts=3,
        save_best='segm_mAP',
        type='denseformer.CheckpointHook'),
    iteration_seed=dict(type='denseformer.IterationSeedHook'),
    logger=dict(interval=50, log_metric_by_epoch=True, type='LoggerHook'),
    nan_guard=dict(skip=0, type='denseformer.NaNGuardHook'),
    param_scheduler=dict(type='ParamSchedulerHook'),
    preemption=dict(type='denseformer.PreemptionHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    timer=dict(type='IterTimerHook'))
default_scope = 'mmdet'
env_cfg = dict(
    cudnn_benchmark=True,
    dist_cfg=dict(backend='nccl'),
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0))
epochs = 8
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
key_metric = 'segm_mAP'
levels = (
    0,
    1,
    2,
    3,
)
log_interval = 50
log_level = 'INFO'
log_processor = dict(by_epoch=True)
model = dict(
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
        pad_mask=True,
        pad_size_divisor=32,
        std=[
            58.395,
            57.12,
            57.375,
        ],
        type='DetDataPreprocessor'),
    neck=dict(
        in_channels=(
            24,
            48,
            96,
            192,
        ),
        in_strides=(
            4,
            8,
            16,
            32,
        ),
        out_channels=40,
        out_strides=[
            4,
            8,
            16,
            32,
            64,
        ],
        type='denseformer.FPN'),
    roi_head=dict(
        bbox_head=dict(
            fc_out_channels=96,
            in_channels=40,
            loss_bbox=dict(type='L1Loss'),
            num_classes=5,
            type='Shared2FCBBoxHead'),
        bbox_roi_extractor=dict(
            featmap_strides=[
                4,
                8,
                16,
                32,
            ],
            out_channels=40,
            roi_layer=dict(output_size=7, type='RoIAlign'),
            type='SingleRoIExtractor'),
        mask_head=dict(
            conv_out_channels=40,
            in_channels=40,
            num_classes=5,
            num_convs=2,
            type='FCNMaskHead'),
        mask_roi_extractor=dict(
            featmap_strides=[
                4,
                8,
                16,
                32,
            ],
            out_channels=40,
            roi_layer=dict(output_size=14, type='RoIAlign'),
            type='SingleRoIExtractor'),
        type='StandardRoIHead'),
    rpn_head=dict(
        anchor_generator=dict(
            ratios=[
                0.5,
                1.0,
                2.0,
            ],
            scales=[
                4,
            ],
            strides=[
                4,
                8,
                16,
                32,
                64,
            ],
            type='AnchorGenerator'),
        feat_channels=40,
        in_channels=40,
        loss_bbox=dict(type='L1Loss'),
        type='RPNHead'),
    test_cfg=dict(
        rcnn=dict(
            mask_thr_binary=0.5,
            max_per_img=100,
            nms=dict(iou_threshold=0.5, type='nms'),
            score_thr=0.05),
        rpn=dict(
            max_per_img=100,
            min_bbox_size=0,
            nms=dict(iou_threshold=0.7, type='nms'),
            nms_pre=300)),
    train_cfg=dict(
        rcnn=dict(
            assigner=dict(
                min_pos_iou=0.5,
                neg_iou_thr=0.5,
                pos_iou_thr=0.5,
                type='MaxIoUAssigner'),
            mask_size=28,
            pos_weight=-1,
            sampler=dict(num=64, pos_fraction=0.25, type='RandomSampler')),
        rpn=dict(
            allowed_border=-1,
            assigner=dict(
                min_pos_iou=0.3,
                neg_iou_thr=0.3,
                pos_iou_thr=0.7,
                type='MaxIoUAssigner'),
            pos_weight=-1,
            sampler=dict(
                add_gt_as_proposals=False,
                num=256,
                pos_fraction=0.5,
                type='RandomSampler')),
        rpn_proposal=dict(
            max_per_img=200,
            min_bbox_size=0,
            nms=dict(iou_threshold=0.7, type='nms'),
            nms_pre=500)),
    type='MaskRCNN')
num_classes = 5
num_workers = 2
optim_wrapper = dict(
    clip_grad=dict(max_norm=5.0),
    constructor='denseformer.LayerDecayOptimWrapperConstructor',
    optimizer=dict(
        betas=(
            0.9,
            0.999,
        ), lr=0.001, type='AdamW', weight_decay=0.05),
    type='OptimWrapper')
param_scheduler = [
    dict(begin=0, by_epoch=False, end=50, start_factor=0.001, type='LinearLR'),
    dict(
        begin=0,
        by_epoch=True,
        end=8,
        gamma=0.1,
        milestones=[
            6,
            7,
        ],
        type='MultiStepLR'),
]
pyramid = 40
pyramid_channels = [
    40,
    40,
    40,
    40,
]
pyramid_strides = [
    4,
    8,
    16,
    32,
    64,
]
scored = [
    'bbox',
    'segm',
]
steps = [
    6,
    7,
]
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
        ann_file='instances_validation.json',
        data_prefix=dict(img='images/validation'),
        data_root='data/sample',
        pipeline=[
            dict(type='denseformer.LoadImage'),
            dict(keep_ratio=True, scale=(
                160,
                160,
            ), type='Resize'),
            dict(
                meta_keys=(
                    'img_id',
                    'img_path',
                    'ori_shape',
                    'img_shape',
                    'scale_factor',
                    'instances',
                ),
                type='PackDetInputs'),
        ],
        test_mode=True,
        type='denseformer.SampleInstances'),
    num_workers=2,
    persistent_workers=True,
    sampler=dict(shuffle=False, type='DefaultSampler'))
test_evaluator = dict(
    ann_file='instances_validation.json',
    data_root='data/sample',
    metric=[
        'bbox',
        'segm',
    ],
    type='denseformer.CocoMetric')
test_pipeline = [
    dict(type='denseformer.LoadImage'),
    dict(keep_ratio=True, scale=(
        160,
        160,
    ), type='Resize'),
    dict(
        meta_keys=(
            'img_id',
            'img_path',
            'ori_shape',
            'img_shape',
            'scale_factor',
            'instances',
        ),
        type='PackDetInputs'),
]
train_cfg = dict(max_epochs=8, type='EpochBasedTrainLoop', val_interval=4)
train_dataloader = dict(
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    batch_size=4,
    dataset=dict(
        ann_file='instances_training.json',
        data_prefix=dict(img='images/training'),
        data_root='data/sample',
        pipeline=[
            dict(type='denseformer.LoadImage'),
            dict(type='denseformer.LoadInstances', with_mask=True),
            dict(prob=0.5, type='RandomFlip'),
            dict(
                transforms=[
                    [
                        dict(
                            keep_ratio=True, scale=(
                                160,
                                160,
                            ), type='Resize'),
                    ],
                ],
                type='RandomChoice'),
            dict(type='PackDetInputs'),
        ],
        type='denseformer.SampleInstances'),
    num_workers=2,
    persistent_workers=True,
    sampler=dict(shuffle=True, type='DefaultSampler'))
train_pipeline = [
    dict(type='denseformer.LoadImage'),
    dict(type='denseformer.LoadInstances', with_mask=True),
    dict(prob=0.5, type='RandomFlip'),
    dict(
        transforms=[
            [
                dict(keep_ratio=True, scale=(
                    160,
                    160,
                ), type='Resize'),
            ],
        ],
        type='RandomChoice'),
    dict(type='PackDetInputs'),
]
val_cfg = dict(type='ValLoop')
val_dataloader = dict(
    batch_size=1,
    dataset=dict(
        ann_file='instances_validation.json',
        data_prefix=dict(img='images/validation'),
        data_root='data/sample',
        pipeline=[
            dict(type='denseformer.LoadImage'),
            dict(keep_ratio=True, scale=(
                160,
                160,
            ), type='Resize'),
            dict(
                meta_keys=(
                    'img_id',
                    'img_path',
                    'ori_shape',
                    'img_shape',
                    'scale_factor',
                    'instances',
                ),
                type='PackDetInputs'),
        ],
        test_mode=True,
        type='denseformer.SampleInstances'),
    num_workers=2,
    persistent_workers=True,
    sampler=dict(shuffle=False, type='DefaultSampler'))
val_evaluator = dict(
    ann_file='instances_validation.json',
    data_root='data/sample',
    metric=[
        'bbox',
        'segm',
    ],
    type='denseformer.CocoMetric')
val_interval = 4
warmup_iters = 50
with_mask = True
