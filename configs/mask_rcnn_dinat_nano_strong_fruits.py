_base_ = [
    './_base_/backbones/dinat_nano.py',
    './_base_/heads/parts/mask_rcnn_small.py',
    './_base_/datasets/fruits.py',
    './_base_/schedules/adamw_strong.py',
    './_base_/runtime/epochs.py',
]
image_scale, crop_size, scale_range = (320, 240), (320, 240), (0.6, 1.6)
epochs, steps, val_interval, warmup_iters = 45, [35, 42], 15, 50
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=5.0))
