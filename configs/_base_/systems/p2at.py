# P2AT, https://arxiv.org/abs/2310.15025. Needs of the other bases: backbone of four maps, num_classes, crop_size.
_base_ = '../heads/parts/segmentor.py'
model = dict(
    type='denseformer.Segmentor',
    decode_head=dict(
        type='denseformer.P2ATHead',
        in_channels='${channels}',
        num_classes='${num_classes}',
        align_corners=True,
        loss_decode=dict(type='OhemCrossEntropy', thres=0.9, min_kept=131_072, loss_weight=1.0),
        loss_auxiliary=dict(type='CrossEntropyLoss', loss_weight=0.4),
    ),
)
