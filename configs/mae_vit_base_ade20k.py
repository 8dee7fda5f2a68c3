# The authors train on ImageNet, 800 epochs of 4096 images a step. Sizes are theirs, the rest is for a set of this size.
_base_ = [
    './_base_/backbones/vit.py',
    './_base_/pretraining/mae.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/unlabelled_100k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='base')
image_scale, crop_size, batch_size, auto_scale_lr = (896, 224), (224, 224), 32, dict(base_batch_size=256)
optim_wrapper = dict(optimizer=dict(lr=1.5e-4, betas=(0.9, 0.95)))
val_dataloader = val_evaluator = test_dataloader = test_evaluator = None
default_hooks = dict(checkpoint=dict(save_best=None))
