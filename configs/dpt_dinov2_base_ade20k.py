# No recipe of segmentation was published with this head.
_base_ = [
    './_base_/backbones/dinov2.py',
    './_base_/heads/dpt.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/linear_40k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='base', pretrained='lvd142m', output_tokens=True, frozen_stages=12)
model = dict(decode_head=dict(readout='project'))
