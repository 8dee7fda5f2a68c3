# No recipe of segmentation was published with this network.
_base_ = [
    './_base_/backbones/croco.py',
    './_base_/heads/parts/dpt_croco.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/linear_40k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='base', pretrained='habitat_real', frozen_stages=12)
