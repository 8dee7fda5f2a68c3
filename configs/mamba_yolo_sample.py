_base_ = [
    './_base_/backbones/mamba_yolo.py',
    './_base_/systems/mamba_yolo.py',
    './_base_/datasets/sample_instance.py',
    './_base_/schedules/adamw_minutes_epochs.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch=dict(_delete_=True, widths=(16, 32, 64, 128), depths=(1, 1, 1, 1)))
with_mask, scored, key_metric = False, ['bbox'], 'bbox_mAP'
batch_size = 4
