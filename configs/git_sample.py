_base_ = [
    './_base_/backbones/git_nano.py',
    './_base_/systems/git_semantic.py',
    './_base_/datasets/sample.py',
    './_base_/schedules/adamw_minutes.py',
    './_base_/runtime/default.py',
]
window, grid, sampled, crop_size = 40, (5, 5), 25, (160, 160)
