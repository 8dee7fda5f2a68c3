_base_ = [
    './_base_/backbones/dinat_nano.py',
    './_base_/heads/retinanet.py',
    './_base_/datasets/bccd.py',
    './_base_/schedules/adamw_minutes_epochs.py',
    './_base_/runtime/epochs.py',
]
image_scale = (320, 240)
batch_size, pyramid, anchor_scale = 4, 64, 3
epochs, steps, val_interval = 5, [4], 5
model = dict(bbox_head=dict(stacked_convs=2))
