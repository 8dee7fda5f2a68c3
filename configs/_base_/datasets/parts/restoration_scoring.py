# What all restoration datasets share in testing: one image at a time, PSNR and SSIM. A dataset's base sets the images
# (test_images) and the protocol.
num_workers = 4
crop_border = 0
val_dataloader = dict(
    batch_size=1,
    num_workers='${num_workers}',
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset='${test_images}',
)
test_dataloader = '${val_dataloader}'
val_evaluator = [
    dict(type='denseformer.PSNR', protocol='${protocol}', crop_border='${crop_border}'),
    dict(type='denseformer.SSIM', protocol='${protocol}', crop_border='${crop_border}'),
]
test_evaluator = '${val_evaluator}'
