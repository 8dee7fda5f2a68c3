# The authors published this head on their 7B with an adapter; here the backbone is frozen and the neck is BEiT's.
_base_ = [
    './_base_/backbones/dinov3.py',
    './_base_/necks/deconv_pyramid.py',
    './_base_/heads/mask2former_semantic.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/mask2former_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='large', pretrained='lvd1689m', frozen_stages=24)
