_base_ = [
    './_base_/systems/attswinunet.py',
    './_base_/backbones/dinat_nano.py',
    './_base_/datasets/sample.py',
    './_base_/schedules/adamw_minutes.py',
    './_base_/runtime/default.py',
]
model = dict(decode_head=dict(depths=(2, 2, 2), heads=(2, 4, 8)))
