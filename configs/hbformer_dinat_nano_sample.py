_base_ = [
    './_base_/systems/hbformer.py',
    './_base_/datasets/sample.py',
    './_base_/schedules/adamw_minutes.py',
    './_base_/runtime/default.py',
]
backbone = dict(
    _delete_=True, type='denseformer.DiNAT', arch=dict(width=32, depths=(2, 2, 4, 2), heads=(2, 4, 8, 16), mlp_ratio=2)
)
channels = (32, 64, 128, 256)
model = dict(decode_head=dict(channels=16))
