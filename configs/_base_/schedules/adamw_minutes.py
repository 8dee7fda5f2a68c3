# From random weights on the sample set, in a few minutes on two CPU cores.
_base_ = './adamw_short.py'
max_iters = 1200
warmup_iters = 50
val_interval = 400
optim_wrapper = dict(optimizer=dict(lr=2e-3))
