# UPerNet, "Unified Perceptual Parsing for Scene Understanding", https://arxiv.org/abs/1807.10221.
# Needs of the other bases: backbone (channels follow from it), num_classes, crop_size.
_base_ = './parts/segmentor.py'
model = dict(
    decode_head=dict(
        type='UPerHead',
        in_channels='${channels}',
        in_index='${levels}',
        channels=512,
        pool_scales=(1, 2, 3, 6),
        dropout_ratio=0.1,
        num_classes='${num_classes}',
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=1.0),
    ),
    auxiliary_head=dict(
        type='FCNHead',
        in_channels='${channels[-2]}',
        in_index=-2,
        channels=256,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes='${num_classes}',
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=0.4),
    ),
)
