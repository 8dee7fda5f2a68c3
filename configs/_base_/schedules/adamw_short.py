# For small datasets, from random weights: a short run at a higher rate.
_base_ = './adamw_160k.py'
max_iters = 800
warmup_iters = 200
val_interval = 400
optim_wrapper = dict(optimizer=dict(lr=5e-4), clip_grad=dict(max_norm=5.0))
auto_scale_lr = dict(base_batch_size=4)
