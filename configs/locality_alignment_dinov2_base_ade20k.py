# The authors train on ImageNet-21k, 5 epochs of 256 images a step. Sizes, and rates for such batches, are theirs.
_base_ = [
    './_base_/backbones/dinov2.py',
    './_base_/pretraining/locality_alignment.py',
    './_base_/datasets/ade20k_images.py',
    './_base_/schedules/unlabelled_100k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='base', pretrained='lvd142m', registers=4, image_size=224, logit_cap=30.0)
auto_scale_lr = dict(base_batch_size=256)
warmup_iters, smallest_rate = 0, 3e-5
optim_wrapper = dict(optimizer=dict(lr=3e-4, betas=(0.9, 0.95), weight_decay=0.01), clip_grad=dict(max_norm=1.0))
