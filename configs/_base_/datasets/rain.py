# Rainy images and clean ones, input/ and target/ below train/ and test/.
protocol, downsample = 'y_rounded', False
patch_size = 128
batch_size = 4  # per GPU
num_workers = 4
train_pipeline = [
    dict(type='denseformer.LoadPair'),
    dict(type='denseformer.RandomPatch', size='${patch_size}'),
    dict(type='denseformer.RandomOrientation'),
    dict(type='denseformer.PackRestoration'),
]
test_pipeline = [dict(type='denseformer.LoadPair'), dict(type='denseformer.PackRestoration')]
train_dataloader = dict(
    batch_size='${batch_size}',
    num_workers='${num_workers}',
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='denseformer.RestorationImages',
        data_root='${data_root}',
        data_prefix=dict(gt_path='train/target', img_path='train/input'),
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
        data_root='${data_root}',
        data_prefix=dict(gt_path='test/target', img_path='test/input'),
        pipeline='${test_pipeline}',
        test_mode=True,
    ),
)
test_dataloader = '${val_dataloader}'
val_evaluator = [
    dict(type='denseformer.PSNR', protocol='${protocol}'),
    dict(type='denseformer.SSIM', protocol='${protocol}', downsample='${downsample}'),
]
test_evaluator = '${val_evaluator}'
