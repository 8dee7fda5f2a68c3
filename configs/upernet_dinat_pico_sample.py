_base_ = [
    './_base_/backbones/dinat_pico.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/sample.py',
    './_base_/schedules/adamw_minutes.py',
    './_base_/runtime/default.py',
]
model = dict(decode_head=dict(channels=48), auxiliary_head=dict(channels=32))
