# Degraded images and targets of the same size, as files of the same names. A dataset's base sets train_images and
# test_images, or training_files, test_files and their roots.
_base_ = './same_size.py'
train_pipeline = [
    dict(type='denseformer.LoadImagePair'),
    dict(type='denseformer.PairedRandomCrop', size='${patch_size}'),
    dict(type='denseformer.RandomOrientation'),
    dict(type='denseformer.PackRestoration'),
]
test_pipeline = [dict(type='denseformer.LoadImagePair'), dict(type='denseformer.PackRestoration')]
