# DF2K: the 800 training images of DIV2K and the 2650 of Flickr2K.
_base_ = './parts/super_resolution.py'
_images = dict(type='denseformer.RestorationImages', scale='${scale}', pipeline='${train_pipeline}')
train_images = dict(
    type='ConcatDataset',
    datasets=[
        dict(**_images, data_root='data/DIV2K', data_prefix=dict(gt_path='DIV2K_train_HR')),
        dict(**_images, data_root='data/Flickr2K', data_prefix=dict(gt_path='Flickr2K_HR')),
    ],
)
