# The same in twice the iterations of half as many images, at half the rate.
_base_ = './semantic_fpn_40k.py'
max_iters = 80_000
val_interval = 8000
optim_wrapper = dict(optimizer=dict(lr=1e-4))
auto_scale_lr = dict(base_batch_size=16)
