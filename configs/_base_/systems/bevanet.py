# BEVANet, https://arxiv.org/abs/2508.07300, with PIDNet's losses. Needs of the other bases: num_classes, crop_size.
_base_ = '../heads/parts/segmentor.py'
backbone = dict(type='denseformer.BEVANet', arch='small')
joined_channels = 128  # four times the width of the backbone
head_channels = 128
_hard_pixels = dict(type='OhemCrossEntropy', thres=0.9, min_kept=131_072, loss_weight=1.0)
model = dict(
    type='denseformer.Segmentor',
    decode_head=dict(
        type='denseformer.BEVANetHead',
        in_channels='${joined_channels}',
        channels='${head_channels}',
        dropout_ratio=0.0,
        num_classes='${num_classes}',
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=[  # of details, of the result, of borders, and of the result along them
            dict(type='CrossEntropyLoss', loss_weight=0.4),
            _hard_pixels,
            dict(type='BoundaryLoss', loss_weight=20.0),
            _hard_pixels,
        ],
    ),
)
