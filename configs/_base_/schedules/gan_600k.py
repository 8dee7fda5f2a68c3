# SwinIR's second stage of real-world super-resolution: gan_400k, then halved four times.
_base_ = './gan_400k.py'
max_iters = 600_000
milestones = (400_000, 500_000, 550_000, 575_000)
