# Att-SwinU-Net, https://arxiv.org/abs/2210.16898. Needs of the other bases: backbone of four maps (channels follow from
# it), num_classes, crop_size.
_base_ = '../heads/parts/segmentor.py'
model = dict(
    type='denseformer.Segmentor',
    decode_head=dict(
        type='denseformer.AttSwinUNetHead',
        in_channels='${channels}',
        num_classes='${num_classes}',
        cross_levels=3,  # skips that exchange with the decoder
        loss_decode=[dict(type='CrossEntropyLoss', loss_weight=1.0), dict(type='denseformer.DiceLoss')],
    ),
)
