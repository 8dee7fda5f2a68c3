# SwinIR's real-world super-resolution before the discriminator: adam_500k, twice as long.
_base_ = './adam_500k.py'
max_iters = 1_000_000
milestones = (500_000, 800_000, 900_000, 950_000)
