# The authors train on ImageNet, 800 epochs of 2048 images a step. Sizes are theirs, the rest is for a set of this size.
_base_ = [
    './_base_/backbones/vit.py',
    './_base_/pretraining/simmim.py',
    './_base_/datasets/ade20k_images.py',
    './_base_/schedules/unlabelled_100k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='beit_base', image_size=224)
auto_scale_lr = dict(base_batch_size=256)
