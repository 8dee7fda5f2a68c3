_base_ = [
    './_base_/systems/hbformer.py',
    './_base_/datasets/isic2018.py',
    './_base_/schedules/adamw_cosine.py',
    './_base_/runtime/default.py',
]
# The authors train on other data; this is their recipe for Synapse.
backbone = dict(window_size=8)
batch_size = 15
optim_wrapper, auto_scale_lr = dict(optimizer=dict(lr=3e-4)), dict(base_batch_size=15)
