# SegFormer's head, https://arxiv.org/abs/2105.15203: all maps at the size of the first one, and linear layers, each with
# BatchNorm as in mmsegmentation. `type='denseformer.SegFormerHead'` is the authors' own, for their weights.
# Needs of the other bases: backbone (channels follow from it), num_classes, crop_size.
_base_ = './parts/segmentor.py'
model = dict(
    decode_head=dict(
        type='SegformerHead',
        in_channels='${channels}',
        in_index='${levels}',
        channels=256,
        dropout_ratio=0.1,
        num_classes='${num_classes}',
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=1.0),
    )
)
