_base_ = [
    './_base_/systems/hbformer.py',
    './_base_/datasets/synapse.py',
    './_base_/schedules/adamw_cosine.py',
    './_base_/runtime/default.py',
]
# The authors' number of epochs and their results are not in their README.
backbone = dict(window_size=8)
image_scale, crop_size, batch_size = (256, 256), (256, 256), 15
optim_wrapper, auto_scale_lr = dict(optimizer=dict(lr=3e-4)), dict(base_batch_size=15)
