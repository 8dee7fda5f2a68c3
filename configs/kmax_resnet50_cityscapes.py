_base_ = [
    './_base_/backbones/parts/resnet_kmax_stem.py',
    './_base_/systems/kmax_cityscapes.py',
    './_base_/datasets/cityscapes_panoptic.py',
    './_base_/schedules/kmax_100k.py',
    './_base_/runtime/default.py',
]
image_scale, crop_size, augmentation = (2049, 1025), (2049, 1025), '${pasting}'
max_iters, optim_wrapper, auto_scale_lr = 60_000, dict(optimizer=dict(lr=3e-4)), dict(base_batch_size=32)
published = dict(metric='PQ', value=63.5, source='bytedance/kmax-deeplab, README.md')
