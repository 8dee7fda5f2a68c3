# Object-contextual representations, https://arxiv.org/abs/1909.11065. Needs of the other bases: backbone, num_classes,
# crop_size, and the sum of its maps' channels.
_base_ = '../heads/parts/segmentor.py'
joined_channels = 720
_maps = dict(
    in_channels='${channels}',
    in_index='${levels}',
    input_transform='resize_concat',
    num_classes='${num_classes}',
    norm_cfg=dict(type='BN'),
    dropout_ratio=0.0,
)
model = dict(
    type='CascadeEncoderDecoder',
    num_stages=2,
    decode_head=[
        dict(
            **_maps,
            type='FCNHead',
            channels='${joined_channels}',
            kernel_size=1,
            num_convs=1,
            concat_input=False,
            loss_decode=dict(type='CrossEntropyLoss', loss_weight=0.4),
        ),
        dict(
            **_maps,
            type='OCRHead',
            channels=512,
            ocr_channels=256,
            loss_decode=dict(type='CrossEntropyLoss', loss_weight=1.0),
        ),
    ],
)
