_base_ = [
    './_base_/systems/hbformer.py',
    './_base_/datasets/acdc.py',
    './_base_/schedules/adamw_cosine.py',
    './_base_/runtime/default.py',
]
# The authors' number of epochs and their results are not in their README; their classes there lack the background.
batch_size = 2
optim_wrapper, auto_scale_lr = dict(optimizer=dict(lr=3e-4)), dict(base_batch_size=2)
