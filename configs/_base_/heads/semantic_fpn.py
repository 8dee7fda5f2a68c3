# Semantic FPN, "Panoptic Feature Pyramid Networks", https://arxiv.org/abs/1901.02446.
# Needs of the other bases: backbone (channels follow from it), num_classes, crop_size.
_base_ = './parts/segmentor.py'
pyramid = 256  # channels of every level
model = dict(
    neck=dict(
        type='FPN',
        in_channels=['${channels[0]}', '${channels[1]}', '${channels[2]}', '${channels[3]}'],
        out_channels='${pyramid}',
        num_outs=4,
    ),
    decode_head=dict(
        type='FPNHead',
        in_channels=['${pyramid}'] * 4,
        in_index=(0, 1, 2, 3),
        feature_strides=(4, 8, 16, 32),
        channels=128,
        dropout_ratio=0.1,
        num_classes='${num_classes}',
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=1.0),
    ),
)
