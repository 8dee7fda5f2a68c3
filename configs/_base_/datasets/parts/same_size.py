# What restoration at the same size shares: a folder of targets to train on and one to test on. A dataset's base, or a
# config, sets what spoils them, train_degradation and test_degradation.
_base_ = ['./restoration_scoring.py', './restoration_training.py']
scale, channels = 1, 3
patch_size = 128
protocol = 'rgb'
training_root = 'data/DFWB'
training_files, test_files = dict(gt_path=''), dict(gt_path='')
train_pipeline = [
    dict(type='denseformer.LoadImagePair', channels='${channels}'),
    dict(type='denseformer.PairedRandomCrop', size='${patch_size}'),
    dict(type='denseformer.RandomOrientation'),
    '${train_degradation}',
    dict(type='denseformer.PackRestoration'),
]
test_pipeline = [
    dict(type='denseformer.LoadImagePair', channels='${channels}'),
    '${test_degradation}',
    dict(type='denseformer.PackRestoration'),
]
train_images = dict(
    type='denseformer.RestorationImages',
    data_root='${training_root}',
    data_prefix='${training_files}',
    pipeline='${train_pipeline}',
)
test_images = dict(
    type='denseformer.RestorationImages',
    data_root='${test_root}',
    data_prefix='${test_files}',
    pipeline='${test_pipeline}',
    test_mode=True,
)
