# No recipe of segmentation was published with this head.
_base_ = [
    './_base_/backbones/croco.py',
    './_base_/heads/parts/dpt_croco.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='base', pretrained='croco_base_habitat_real')
