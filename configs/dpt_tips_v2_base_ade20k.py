# The decoder's weights were published, and neither its result nor its recipe.
_base_ = [
    './_base_/backbones/tips.py',
    './_base_/heads/parts/dpt_tips.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/linear_40k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='base', pretrained='v2_webli_based', output_tokens=True, frozen_stages=12)
image_mean, image_std = [0.0, 0.0, 0.0], [255.0, 255.0, 255.0]
