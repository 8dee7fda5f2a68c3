_base_ = [
    './_base_/backbones/dinat_nano.py',
    './_base_/heads/parts/mask_rcnn_small.py',
    './_base_/datasets/fruits.py',
    './_base_/schedules/adamw_minutes_epochs.py',
    './_base_/runtime/epochs.py',
]
image_scale = (320, 240)
epochs, steps, val_interval = 45, [35, 42], 15
augmentation = [[dict(type='RandomResize', scale='${image_scale}', ratio_range=(0.7, 1.3), keep_ratio=True)]]
