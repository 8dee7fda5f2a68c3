# Super-resolution from the weights of another scale, or fine-tuning: half as long as adam_500k, at half the rate.
_base_ = './adam_500k.py'
max_iters = 250_000
milestones = (125_000, 200_000, 225_000, 240_000)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
