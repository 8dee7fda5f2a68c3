# No result of this size was published.
_base_ = [
    './_base_/backbones/dinov2.py',
    './_base_/heads/eomt_semantic.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/eomt.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='small', pretrained='lvd142m')
