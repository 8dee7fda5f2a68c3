# Super-resolution from the weights of another scale: adam_500k in half the time.
_base_ = './adam_500k.py'
max_iters = 250_000
milestones = (125_000, 200_000, 225_000, 237_500)
