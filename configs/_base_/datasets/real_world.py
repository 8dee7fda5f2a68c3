# DF2K and OST, sub-images of 400 pixels and more, degraded by Real-ESRGAN's second-order process. Set5, shrunk
# bicubically, only shows that training goes on: what such networks are for has no targets.
_base_ = './super_resolution.py'
training_root = 'data/DFO'
train_pipeline = [
    dict(type='denseformer.LoadPair', scale='${scale}'),
    dict(type='denseformer.RandomPatch', size=400),
    dict(type='denseformer.RandomOrientation'),
    dict(type='denseformer.RealWorldDegradation', scale='${scale}'),
    dict(type='denseformer.RandomPatch', size='${patch_size}', scale='${scale}'),
    dict(type='denseformer.PackRestoration'),
]
train_images = dict(
    type='denseformer.RestorationImages',
    data_root='${training_root}',
    data_prefix=dict(gt_path='DFO_sub'),
    scale='${scale}',
    pipeline='${train_pipeline}',
)
