# The authors train on Flickr30k, 100 epochs of 8 images a step.
_base_ = [
    './_base_/backbones/dinov2.py',
    './_base_/pretraining/ph_reg.py',
    './_base_/datasets/ade20k_images.py',
    './_base_/schedules/unlabelled_100k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='base', pretrained='lvd142m', registers=16)
image_scale, crop_size, scale_range, batch_size = (2072, 518), (518, 518), (1.0, 1.0), 2
optim_wrapper = dict(optimizer=dict(weight_decay=1e-2), paramwise_cfg=dict(decay_everything=True))
