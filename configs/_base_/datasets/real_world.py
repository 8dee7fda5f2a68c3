# DF2K and OST, sub-images of 400 pixels and more, degraded by Real-ESRGAN's second-order process. Set5, shrunk
# bicubically, only shows that training goes on: what such networks are for has no targets.
_base_ = './parts/super_resolution.py'
training_root = 'data/DFO'
rotate = True  # images are flipped, and with it rotated
degraded_size = 400  # of the square of a target that is degraded, then cut to a patch
train_degradation = dict(type='denseformer.RealWorldDegradation', scale='${scale}')
train_pipeline = [
    dict(type='denseformer.LoadImagePair', scale='${scale}'),
    dict(type='denseformer.PairedRandomCrop', size='${degraded_size}'),
    dict(type='denseformer.RandomOrientation', rotate='${rotate}'),
    '${train_degradation}',
    dict(type='denseformer.PairedRandomCrop', size='${patch_size}', scale='${scale}'),
    dict(type='denseformer.PackRestoration'),
]
train_images = dict(
    type='denseformer.RestorationImages',
    data_root='${training_root}',
    data_prefix=dict(gt_path='DFO_sub'),
    scale='${scale}',
    pipeline='${train_pipeline}',
)
