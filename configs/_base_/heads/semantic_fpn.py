# Semantic FPN, "Panoptic Feature Pyramid Networks", https://arxiv.org/abs/1901.02446.
# Needs of the other bases: backbone (channels and strides follow from it), num_classes, crop_size.
_base_ = './parts/segmentor.py'
pyramid = 256  # channels of every level
model = dict(
    neck=dict(
        type='denseformer.FPN',
        in_channels='${channels}',
        in_strides='${strides}',
        out_channels='${pyramid}',
        out_strides='${strides}',
    ),
    decode_head=dict(
        type='FPNHead',
        in_channels='${pyramid_channels}',
        in_index='${levels}',
        feature_strides='${strides}',
        channels=128,
        dropout_ratio=0.1,
        num_classes='${num_classes}',
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=1.0),
    ),
)
