# Set5, five images, for scoring: its low-resolution images are made as MATLAB's bicubic ones, which is what its
# publishers did, to the bit. With test_files=dict(img_path=...) its files of them are read instead.
_base_ = './parts/restoration_scoring.py'
test_root = 'data/Set5'
test_files = dict(gt_path='HR')
protocol, crop_border = 'y', '${scale}'
num_workers = 1
test_pipeline = [
    dict(type='denseformer.LoadImagePair', scale='${scale}'),
    dict(type='denseformer.BicubicDownsample', scale='${scale}'),
    dict(type='denseformer.PackRestoration'),
]
test_images = dict(
    type='denseformer.RestorationImages',
    data_root='${test_root}',
    data_prefix='${test_files}',
    scale='${scale}',
    pipeline='${test_pipeline}',
    test_mode=True,
)
