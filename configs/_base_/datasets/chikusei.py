# The hyperspectral scene of Chikusei, 128 bands, cut into cubes of 512 x 512 pixels, below train/ and test/: .mat files
# of one variable each, values in [0, 1]. Low resolution is made by MATLAB's bicubic interpolation.
_base_ = ['./parts/restoration_scoring.py', './parts/restoration_training.py']
data_root = 'data/Chikusei'
bands, peak, suffixes = 128, 1.0, ('.mat',)
patch_size = 16  # of the degraded cubes
_load = dict(type='denseformer.LoadCube', peak='${peak}', bands='${bands}', scale='${scale}')
train_pipeline = [
    _load,
    dict(type='denseformer.BicubicDownsample', scale='${scale}', patch='${patch_size}'),
    dict(type='denseformer.RandomOrientation'),
    dict(type='denseformer.PackRestoration'),
]
test_pipeline = [
    _load,
    dict(type='denseformer.BicubicDownsample', scale='${scale}'),
    dict(type='denseformer.PackRestoration'),
]
_cubes = dict(type='denseformer.RestorationImages', data_root='${data_root}', scale='${scale}', suffixes='${suffixes}')
train_images = dict(**_cubes, data_prefix=dict(gt_path='train'), pipeline='${train_pipeline}')
test_images = dict(**_cubes, data_prefix=dict(gt_path='test'), pipeline='${test_pipeline}', test_mode=True)
val_evaluator = [dict(type='denseformer.SpectralMetric', scale='${scale}')]
