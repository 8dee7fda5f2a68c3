_base_ = [
    './_base_/backbones/tips.py',
    './_base_/heads/linear.py',
    './_base_/datasets/voc2012.py',
    './_base_/schedules/linear_40k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='giant', pretrained='v2_webli_based', out_indices=(39,), frozen_stages=40)
image_mean, image_std = [0.0, 0.0, 0.0], [255.0, 255.0, 255.0]
published = dict(metric='mIoU', value=85.1, source='google-deepmind/tips, README.md')
