# A linear head on a frozen backbone: 40000 steps of 16 images at a rate of 1e-3 and a weight decay of 1e-4, as in
# https://github.com/Jiawei-Yang/Denoising-ViT, which evaluates DINOv2's heads.
_base_ = './adamw_160k.py'
max_iters = 40_000
val_interval = 4000
optim_wrapper = dict(optimizer=dict(lr=1e-3, weight_decay=1e-4))
