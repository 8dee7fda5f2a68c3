# SwinIR's denoising and artefact reduction from the weights of another strength: adam_1600k halved, at half the rate.
_base_ = './adam_1600k.py'
max_iters = 800_000
milestones = (400_000, 600_000, 700_000, 750_000)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
