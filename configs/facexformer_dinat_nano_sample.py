_base_ = [
    './_base_/systems/facexformer.py',
    './_base_/backbones/dinat_nano.py',
    './_base_/datasets/sample.py',
    './_base_/schedules/adamw_minutes.py',
    './_base_/runtime/default.py',
]
facts = dict(_delete_=True)  # the sample set has no faces
model = dict(decode_head=dict(channels=64, heads=4, hidden=128))
