# Object-contextual representations, https://arxiv.org/abs/1909.11065. Needs of the other bases: backbone (channels follow
# from it), num_classes, crop_size.
_base_ = '../heads/parts/segmentor.py'
region_channels = 720  # of the head that proposes the objects' regions: the sum of HRNet-W48's maps
head_channels, object_channels = 512, 256  # of pixels; of the attention between pixels and objects
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
            channels='${region_channels}',
            kernel_size=1,
            num_convs=1,
            concat_input=False,
            loss_decode=dict(type='CrossEntropyLoss', loss_weight=0.4),
        ),
        dict(
            **_maps,
            type='OCRHead',
            channels='${head_channels}',
            ocr_channels='${object_channels}',
            loss_decode=dict(type='CrossEntropyLoss', loss_weight=1.0),
        ),
    ],
)
