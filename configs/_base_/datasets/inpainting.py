# CelebA-HQ, faces of 256 x 256 pixels, with free-form holes; test images keep the same holes.
data_root = 'data/CelebA-HQ'
image_size = 256
batch_size = 8
num_workers = 4
train_pipeline = [
    dict(type='denseformer.LoadPair'),
    dict(type='denseformer.RandomPatch', size='${image_size}'),
    dict(type='denseformer.FreeFormMask'),
    dict(type='denseformer.PackRestoration'),
]
test_pipeline = [
    dict(type='denseformer.LoadPair'),
    dict(type='denseformer.FreeFormMask', fixed=True),
    dict(type='denseformer.PackRestoration'),
]
train_dataloader = dict(
    batch_size='${batch_size}',
    num_workers='${num_workers}',
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='denseformer.RestorationImages',
        data_root='${data_root}',
        data_prefix=dict(gt_path='train'),
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
        data_prefix=dict(gt_path='test'),
        pipeline='${test_pipeline}',
        test_mode=True,
    ),
)
test_dataloader = '${val_dataloader}'
val_evaluator = [dict(type='denseformer.PSNR', protocol='rgb'), dict(type='denseformer.SSIM', protocol='rgb')]
test_evaluator = '${val_evaluator}'
