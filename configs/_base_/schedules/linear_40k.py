# A linear head on a frozen backbone: 40000 steps of 16 images. The authors' rates were not found: these are common.
_base_ = './adamw_160k.py'
max_iters = 40_000
val_interval = 4000
optim_wrapper = dict(optimizer=dict(lr=1e-3, weight_decay=1e-4))
