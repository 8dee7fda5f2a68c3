_base_ = [
    './_base_/backbones/dinat.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/sample.py',
    './_base_/schedules/adamw_short.py',
    './_base_/runtime/default.py',
]
backbone = dict(
    arch=dict(_delete_=True, width=32, depths=(2, 2, 4, 2), heads=(2, 4, 8, 16), mlp_ratio=2), dilations=((1, 4), (1, 2), (1, 1, 1, 1), (1, 1))
)
model = dict(decode_head=dict(channels=96), auxiliary_head=dict(channels=48))
max_iters = 600
warmup_iters = 50
val_interval = 200
