_base_ = [
    './_base_/backbones/dinat.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/sample.py',
    './_base_/schedules/adamw_minutes.py',
    './_base_/runtime/default.py',
]
_arch = dict(_delete_=True, width=32, depths=(2, 2, 4, 2), heads=(2, 4, 8, 16), mlp_ratio=2)
backbone = dict(arch=_arch, dilations=((1, 4), (1, 2), (1, 1, 1, 1), (1, 1)))
model = dict(decode_head=dict(channels=64), auxiliary_head=dict(channels=32))
