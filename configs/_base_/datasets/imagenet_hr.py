# The training images of ImageNet as targets of super-resolution, for pre-training.
_base_ = './parts/super_resolution.py'
training_root = 'data/imagenet'
training_files = dict(gt_path='train')
train_images = dict(
    type='denseformer.RestorationImages',
    data_root='${training_root}',
    data_prefix='${training_files}',
    scale='${scale}',
    pipeline='${train_pipeline}',
)
