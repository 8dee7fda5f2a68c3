auto_scale_lr = dict(base_batch_size=8, enable=False)
base_batch_size = 8
batch_size = 8
betas = (
    0.9,
    0.99,
)
crop_border = 2
custom_imports = dict(imports=[
    'denseformer',
])
default_hooks = dict(
    auxiliary_losses=dict(type='denseformer.AuxiliaryLossHook'),
    checkpoint=dict(
        by_epoch=False,
        interval=800,
        max_keep_ckpts=3,
        rule='greater',
        save_best='PSNR',
        type='denseformer.CheckpointHook'),
    iteration_seed=dict(type='denseformer.IterationSeedHook'),
    logger=dict(interval=50, log_metric_by_epoch=False, type='LoggerHook'),
    nan_guard=dict(skip=0, type='denseformer.NaNGuardHook'),
    param_scheduler=dict(type='ParamSchedulerHook'),
    preemption=dict(type='denseformer.PreemptionHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    timer=dict(type='IterTimerHook'))
default_scope = 'mmengine'
env_cfg = dict(
    cudnn_benchmark=True,
    dist_cfg=dict(backend='nccl'),
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0))
held_out = (
    'cat',
    'grass',
    'photographer',
)
key_metric = 'PSNR'
log_interval = 50
log_level = 'INFO'
log_processor = dict(by_epoch=False)
max_iters = 800
milestones = (
    250000,
    400000,
    450000,
    475000,
)
model = dict(
    losses=[
        dict(type='denseformer.L1Loss'),
    ],
    network=dict(
        arch=dict(blocks=4, dim=32, groups=1, kernel_size=7),
        scale=2,
        type='denseformer.CFSR'),
    pretrained=None,
    type='denseformer.Restorer')
network = dict(
    arch=dict(blocks=4, dim=32, groups=1, kernel_size=7),
    scale=2,
    type='denseformer.CFSR')
num_workers = 0
optim_wrapper = dict(
    optimizer=dict(betas=(
        0.9,
        0.99,
    ), lr=0.002, type='Adam'),
    type='OptimWrapper')
param_scheduler = [
    dict(begin=0, by_epoch=False, end=30, start_factor=0.05, type='LinearLR'),
    dict(
        begin=30, by_epoch=False, end=800, eta_min=0,
        type='CosineAnnealingLR'),
]
patch_size = 48
pretrained = None
protocol = 'y'
scale = 2
sync_bn = None
test_cfg = dict(type='TestLoop')
test_dataloader = dict(
    batch_size=1,
    dataset=dict(
        data_prefix=dict(gt_path='photographs'),
        data_root='data',
        only=(
            'cat',
            'grass',
            'photographer',
        ),
        pipeline=[
            dict(scale=2, type='denseformer.LoadImagePair'),
            dict(scale=2, type='denseformer.BicubicDownsample'),
            dict(type='denseformer.PackRestoration'),
        ],
        scale=2,
        test_mode=True,
        type='denseformer.RestorationImages'),
    num_workers=0,
    sampler=dict(shuffle=False, type='DefaultSampler'))
test_evaluator = [
    dict(crop_border=2, protocol='y', type='denseformer.PSNR'),
    dict(crop_border=2, protocol='y', type='denseformer.SSIM'),
]
test_files = dict(gt_path='photographs')
test_images = dict(
    data_prefix=dict(gt_path='photographs'),
    data_root='data',
    only=(
        'cat',
        'grass',
        'photographer',
    ),
    pipeline=[
        dict(scale=2, type='denseformer.LoadImagePair'),
        dict(scale=2, type='denseformer.BicubicDownsample'),
        dict(type='denseformer.PackRestoration'),
    ],
    scale=2,
    test_mode=True,
    type='denseformer.RestorationImages')
test_pipeline = [
    dict(scale=2, type='denseformer.LoadImagePair'),
    dict(scale=2, type='denseformer.BicubicDownsample'),
    dict(type='denseformer.PackRestoration'),
]
test_root = 'data'
train_cfg = dict(max_iters=800, type='IterBasedTrainLoop', val_interval=800)
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        data_prefix=dict(gt_path='photographs'),
        data_root='data',
        pipeline=[
            dict(scale=2, type='denseformer.LoadImagePair'),
            dict(patch=48, scale=2, type='denseformer.BicubicDownsample'),
            dict(type='denseformer.RandomOrientation'),
            dict(type='denseformer.PackRestoration'),
        ],
        scale=2,
        type='denseformer.RestorationImages',
        without=(
            'cat',
            'grass',
            'photographer',
        )),
    num_workers=0,
    persistent_workers=False,
    sampler=dict(shuffle=True, type='InfiniteSampler'))
train_images = dict(
    data_prefix=dict(gt_path='photographs'),
    data_root='data',
    pipeline=[
        dict(scale=2, type='denseformer.LoadImagePair'),
        dict(patch=48, scale=2, type='denseformer.BicubicDownsample'),
        dict(type='denseformer.RandomOrientation'),
        dict(type='denseformer.PackRestoration'),
    ],
    scale=2,
    type='denseformer.RestorationImages',
    without=(
        'cat',
        'grass',
        'photographer',
    ))
train_pipeline = [
    dict(scale=2, type='denseformer.LoadImagePair'),
    dict(patch=48, scale=2, type='denseformer.BicubicDownsample'),
    dict(type='denseformer.RandomOrientation'),
    dict(type='denseformer.PackRestoration'),
]
val_cfg = dict(type='ValLoop')
val_dataloader = dict(
    batch_size=1,
    dataset=dict(
        data_prefix=dict(gt_path='photographs'),
        data_root='data',
        only=(
            'cat',
            'grass',
            'photographer',
        ),
        pipeline=[
            dict(scale=2, type='denseformer.LoadImagePair'),
            dict(scale=2, type='denseformer.BicubicDownsample'),
            dict(type='denseformer.PackRestoration'),
        ],
        scale=2,
        test_mode=True,
        type='denseformer.RestorationImages'),
    num_workers=0,
    sampler=dict(shuffle=False, type='DefaultSampler'))
val_evaluator = [
    dict(crop_border=2, protocol='y', type='denseformer.PSNR'),
    dict(crop_border=2, protocol='y', type='denseformer.SSIM'),
]
val_interval = 800
warmup_iters = 30
