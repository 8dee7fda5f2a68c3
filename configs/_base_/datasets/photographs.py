# The project's own photographs: every third is held out for scoring, the other eight are trained on.
_base_ = './parts/super_resolution.py'
patch_size, num_workers = 48, 0
batch_size = base_batch_size = 8
test_root = 'data'
test_files = dict(gt_path='photographs')
held_out = ('cat', 'grass', 'photographer')
test_images = dict(only='${held_out}')
train_images = dict(
    type='denseformer.RestorationImages',
    data_root='data',
    data_prefix=dict(gt_path='photographs'),
    without='${held_out}',
    scale='${scale}',
    pipeline='${train_pipeline}',
)
train_dataloader = dict(persistent_workers=False)
