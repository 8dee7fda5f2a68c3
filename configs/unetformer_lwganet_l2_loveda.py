_base_ = [
    './_base_/backbones/lwganet.py',
    './_base_/systems/unetformer.py',
    './_base_/datasets/loveda.py',
    './_base_/schedules/adamw_lookahead.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='l2', pretrained='imagenet1k')
scale_range, batch_size = (0.75, 1.5), 16
max_iters, val_interval = 4730, 473  # 30 epochs
optim_wrapper, auto_scale_lr = dict(optimizer=dict(lr=4e-4)), dict(base_batch_size=16)
published = dict(metric='mIoU', value=53.6, source='AeroVILab-AHU/LWGANet, README.md')
