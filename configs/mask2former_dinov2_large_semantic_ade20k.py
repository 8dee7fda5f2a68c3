# The authors published this head on their giant with an adapter; here the backbone is frozen and the neck is BEiT's.
_base_ = [
    './_base_/backbones/dinov2.py',
    './_base_/necks/deconv_pyramid.py',
    './_base_/heads/mask2former_semantic.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/mask2former_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='large', pretrained='lvd142m', frozen_stages=24)
