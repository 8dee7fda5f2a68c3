# UNetFormer's decoder, https://arxiv.org/abs/2109.08937. Needs of the other bases: backbone of four maps, num_classes,
# crop_size.
_base_ = '../heads/parts/segmentor.py'
model = dict(
    type='denseformer.Segmentor',
    decode_head=dict(
        type='denseformer.UNetFormerHead',
        in_channels='${channels}',
        num_classes='${num_classes}',
        loss_decode=[
            dict(type='denseformer.SmoothCrossEntropy', smoothing=0.05),
            dict(type='denseformer.DiceLoss'),
        ],
        loss_auxiliary=dict(type='denseformer.SmoothCrossEntropy', smoothing=0.05, loss_weight=0.4),
    ),
)
