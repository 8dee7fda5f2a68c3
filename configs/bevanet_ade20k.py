_base_ = [
    './_base_/systems/bevanet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/sgd_poly.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='base', pretrained='imagenet1k')
joined_channels, image_scale, scale_range, batch_size = 256, (640, 640), (0.5, 1.6), 14
max_iters = 216_000  # 150 epochs
optim_wrapper = dict(optimizer=dict(lr=1.5e-3))
auto_scale_lr = dict(base_batch_size=14)
published = dict(metric='mIoU', value=39.8, source='maomao0819/BEVANet, README.md')
