# What restoration at the same size shares: a folder of targets to train on, one to test on, and what spoils them, which
# a data set's base or a config sets: train_degradation and test_degradation.
scale = 1
channels = 3
patch_size = 128
batch_size = 1  # per GPU
num_workers = 4
protocol = 'rgb'
training_root = 'data/DFWB'
train_pipeline = [
    dict(type='denseformer.LoadPair', channels='${channels}'),
    dict(type='denseformer.RandomPatch', size='${patch_size}'),
    dict(type='denseformer.RandomOrientation'),
    '${train_degradation}',
    dict(type='denseformer.PackRestoration'),
]
test_pipeline = [
    dict(type='denseformer.LoadPair', channels='${channels}'),
    '${test_degradation}',
    dict(type='denseformer.PackRestoration'),
]
train_dataloader = dict(
    batch_size='${batch_size}',
    num_workers='${num_workers}',
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='denseformer.RestorationImages',
        data_root='${training_root}',
        data_prefix=dict(gt_path=''),
        pipeline='${train_pipeline}',
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers='${num_workers}',
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='denseformer.RestorationImages',
        data_root='${test_root}',
        data_prefix=dict(gt_path=''),
        pipeline='${test_pipeline}',
        test_mode=True,
    ),
)
test_dataloader = '${val_dataloader}'
val_evaluator = [
    dict(type='denseformer.PSNR', protocol='${protocol}'),
    dict(type='denseformer.SSIM', protocol='${protocol}'),
]
test_evaluator = '${val_evaluator}'
