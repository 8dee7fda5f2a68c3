# The authors train on ImageNet, 800 epochs of 4096 images a step. Sizes are theirs, the rest is for a set of this size.
_base_ = [
    './_base_/backbones/vit.py',
    './_base_/pretraining/mae.py',
    './_base_/datasets/ade20k_images.py',
    './_base_/schedules/unlabelled_100k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='base')
auto_scale_lr = dict(base_batch_size=256)
optim_wrapper = dict(optimizer=dict(lr=1.5e-4, betas=(0.9, 0.95)))
