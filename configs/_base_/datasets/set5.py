# Set5, five images, for scoring: its low-resolution images are made as MATLAB's bicubic ones, which is what its
# publishers did, to the bit. With test_images=dict(img_path=...) its files of them are read instead.
test_root = 'data/Set5'
test_images = dict(gt_path='HR')
protocol = 'y'
num_workers = 1
test_pipeline = [
    dict(type='denseformer.LoadPair', scale='${scale}'),
    dict(type='denseformer.ShrinkTarget', scale='${scale}'),
    dict(type='denseformer.PackRestoration'),
]
val_dataloader = dict(
    batch_size=1,
    num_workers='${num_workers}',
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='denseformer.RestorationImages',
        data_root='${test_root}',
        data_prefix='${test_images}',
        scale='${scale}',
        pipeline='${test_pipeline}',
        test_mode=True,
    ),
)
test_dataloader = '${val_dataloader}'
val_evaluator = [
    dict(type='denseformer.PSNR', protocol='${protocol}', crop_border='${scale}'),
    dict(type='denseformer.SSIM', protocol='${protocol}', crop_border='${scale}'),
]
test_evaluator = '${val_evaluator}'
