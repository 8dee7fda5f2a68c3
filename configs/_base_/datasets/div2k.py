# DIV2K: 800 training images of about 2K. With training_files=dict(img_path=...) its own low-resolution files are read.
_base_ = './parts/super_resolution.py'
training_root = 'data/DIV2K'
training_files = dict(gt_path='DIV2K_train_HR')
train_images = dict(
    type='denseformer.RestorationImages',
    data_root='${training_root}',
    data_prefix='${training_files}',
    scale='${scale}',
    pipeline='${train_pipeline}',
)
