_base_ = [
    './_base_/backbones/parts/swin_facexformer.py',
    './_base_/systems/facexformer.py',
    './_base_/datasets/celebamaskhq.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
# The authors train on ten datasets at once and do not publish how; the rate, batch and length are ours.
dataset_type, num_classes, mirrored = 'denseformer.MergedCelebAMaskHQDataset', 11, [(2, 3), (4, 5)]
max_iters, val_interval = 40_000, 4000
optim_wrapper = dict(optimizer=dict(lr=1e-4))
auto_scale_lr = dict(base_batch_size=64)
