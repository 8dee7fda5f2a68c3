# SETR's naive head, https://arxiv.org/abs/2012.15840: a convolution of the last map, three more heads in training.
# Needs of the other bases: backbone (four maps of one stride; channels follow from it), num_classes, crop_size.
_base_ = './parts/segmentor.py'
_head = dict(
    type='SETRUPHead',
    channels=256,
    num_convs=1,
    up_scale=4,
    kernel_size=1,
    dropout_ratio=0.0,
    num_classes='${num_classes}',
    norm_cfg=dict(type='BN'),
    align_corners=False,
)
_auxiliary = dict(_head, num_convs=2, loss_decode=dict(type='CrossEntropyLoss', loss_weight=0.4))
model = dict(
    decode_head=dict(
        **_head,
        in_channels='${channels[-1]}',
        in_index=-1,
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=1.0),
    ),
    auxiliary_head=[dict(_auxiliary, in_channels='${channels[0]}', in_index=i) for i in range(3)],
)
