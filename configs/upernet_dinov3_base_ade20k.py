# No recipe with this head was published: the backbone is frozen, as under its authors' heads, and the head's is common.
_base_ = [
    './_base_/backbones/dinov3.py',
    './_base_/necks/simple_pyramid.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='base', pretrained='lvd1689m', frozen_stages=12)
