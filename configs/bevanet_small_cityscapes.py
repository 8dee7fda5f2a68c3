_base_ = [
    './_base_/systems/bevanet.py',
    './_base_/datasets/cityscapes.py',
    './_base_/schedules/sgd_poly.py',
    './_base_/runtime/default.py',
]
backbone = dict(pretrained='imagenet1k')
crop_size, batch_size = (1024, 1024), 12
max_iters = 124_000  # 500 epochs
published = dict(metric='mIoU', value=78.2, source='maomao0819/BEVANet, README.md')
