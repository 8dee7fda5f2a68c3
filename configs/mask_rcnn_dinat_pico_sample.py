_base_ = [
    './_base_/backbones/dinat_pico.py',
    './_base_/heads/parts/mask_rcnn_small.py',
    './_base_/datasets/sample_instance.py',
    './_base_/schedules/adamw_minutes_epochs.py',
    './_base_/runtime/epochs.py',
]
batch_size = 4
pyramid = 40
model = dict(roi_head=dict(bbox_head=dict(fc_out_channels=96)))
