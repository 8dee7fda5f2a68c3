# Scores and checkpoints are those of the averaged weights; their buffers are the model's own.
_base_ = './restoration.py'
custom_hooks = [dict(type='EMAHook', momentum=0.001)]
