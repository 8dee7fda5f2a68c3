_base_ = [
    './_base_/systems/p2at.py',
    './_base_/backbones/dinat_nano.py',
    './_base_/datasets/sample.py',
    './_base_/schedules/adamw_minutes.py',
    './_base_/runtime/default.py',
]
