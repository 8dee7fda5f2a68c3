# What all detectors of mmdetection share. Needs of the other bases: backbone.
_base_ = './pixels.py'
default_scope = 'mmdet'
model = dict(
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean='${image_mean}',
        std='${image_std}',
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone='${backbone}',
)
