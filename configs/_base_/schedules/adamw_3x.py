# "3x": 36 epochs at many scales.
_base_ = './adamw_1x_multiscale.py'
epochs = 36
steps = [27, 33]
