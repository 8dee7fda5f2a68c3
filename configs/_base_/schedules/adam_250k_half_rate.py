# SwinIR's super-resolution from the weights of another scale: adam_500k in half the time, at half the rate.
_base_ = './adam_250k_full_rate.py'
optim_wrapper = dict(optimizer=dict(lr=1e-4))
