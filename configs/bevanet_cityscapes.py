_base_ = [
    './_base_/systems/bevanet.py',
    './_base_/datasets/cityscapes.py',
    './_base_/schedules/sgd_poly.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='base', pretrained='imagenet1k')
joined_channels, crop_size, batch_size = 256, (1024, 1024), 6  # on each of 2 GPUs
max_iters = 124_000  # 500 epochs
optim_wrapper = dict(optimizer=dict(lr=8e-3, weight_decay=4e-4))
published = dict(metric='mIoU', value=81.0, source='maomao0819/BEVANet, README.md')
