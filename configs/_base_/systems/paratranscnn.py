# ParaTransCNN, https://arxiv.org/abs/2401.15307. Needs of the other bases: num_classes, crop_size.
_base_ = '../heads/parts/segmentor.py'
backbone = dict(type='denseformer.ParaTransCNN')
channels = (448, 896, 1792)
strides = (4, 8, 16)
model = dict(
    type='denseformer.Segmentor',
    decode_head=dict(
        type='denseformer.ParaTransCNNHead',
        in_channels='${channels}',
        num_classes='${num_classes}',
        loss_decode=[
            dict(type='CrossEntropyLoss', loss_weight=0.5),
            dict(type='denseformer.DiceLoss', loss_weight=0.5),
        ],
    ),
)
