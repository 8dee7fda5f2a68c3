# HBFormer, https://arxiv.org/abs/2512.03597. Needs of the other bases: num_classes, crop_size; and of a config with
# another backbone its four maps' channels and strides.
_base_ = '../heads/parts/segmentor.py'
backbone = dict(type='denseformer.UNetSwin', arch='tiny', pretrained='swin_tiny_imagenet1k')
channels = (96, 192, 384, 768)
strides = (4, 8, 16, 32)
model = dict(
    type='denseformer.Segmentor',
    decode_head=dict(
        type='denseformer.HBFormerHead',
        in_channels='${channels}',
        num_classes='${num_classes}',
        loss_decode=[
            dict(type='CrossEntropyLoss', loss_weight=0.33),
            dict(type='denseformer.DiceLoss', loss_weight=0.33),
            dict(type='denseformer.FocalLoss', loss_weight=0.34),
        ],
    ),
)
