# Real-world super-resolution before the discriminator: a constant rate.
_base_ = './adam_500k.py'
max_iters = 1_000_000
milestones = (1_000_000,)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
