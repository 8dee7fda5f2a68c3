# What all super-resolution training shares: patches, degraded as MATLAB's bicubic interpolation does it. A dataset's
# base sets the training images, train_images; a config the scale.
_base_ = ['../set5.py', './restoration_training.py']
patch_size = 64  # of the degraded images
num_workers = 6
train_pipeline = [
    dict(type='denseformer.LoadImagePair', scale='${scale}'),
    dict(type='denseformer.BicubicDownsample', scale='${scale}', patch='${patch_size}'),
    dict(type='denseformer.RandomOrientation'),
    dict(type='denseformer.PackRestoration'),
]
