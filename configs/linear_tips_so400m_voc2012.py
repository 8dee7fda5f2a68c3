_base_ = [
    './_base_/backbones/tips.py',
    './_base_/heads/linear.py',
    './_base_/datasets/voc2012.py',
    './_base_/schedules/linear_40k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='so400m', pretrained='v1_webli_based_448', out_indices=(26,), frozen_stages=27)
image_mean, image_std = [0.0, 0.0, 0.0], [255.0, 255.0, 255.0]
published = dict(metric='mIoU', value=83.7, source='google-deepmind/tips, README.md')
