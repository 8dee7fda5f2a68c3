_base_ = [
    './_base_/backbones/adapted_sam_nano.py',
    './_base_/systems/parts/usis_sam_small.py',
    './_base_/datasets/sample_instance.py',
    './_base_/schedules/adamw_minutes_epochs.py',
    './_base_/runtime/epochs.py',
]
batch_size = 4
