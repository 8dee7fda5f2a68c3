# As adam_500k, longer: pre-training on ImageNet, and CATANet x2.
_base_ = './adam_500k.py'
max_iters = 800_000
milestones = (300_000, 500_000, 650_000, 700_000, 750_000)
