# For detectors from random weights on small datasets, in minutes on two CPU cores.
_base_ = './adamw_1x.py'
epochs = 8
steps = [6, 7]
warmup_iters = 50
val_interval = 4
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=5.0))
auto_scale_lr = dict(base_batch_size=4)
