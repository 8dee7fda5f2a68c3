_base_ = [
    './_base_/backbones/git_nano.py',
    './_base_/systems/git_instance.py',
    './_base_/datasets/sample_instance.py',
    './_base_/schedules/adamw_minutes_epochs.py',
    './_base_/runtime/epochs.py',
]
window, num_bins, grid, sampled, batch_size = 40, 320, (3, 3), 9, 4
