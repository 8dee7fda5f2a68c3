# A linear classifier of each place, with BatchNorm before: DINOv2's and DINOv3's head for frozen backbones.
# Needs of the other bases: backbone (channels follow from it), num_classes, crop_size.
_base_ = './parts/segmentor.py'
model = dict(
    decode_head=dict(
        type='denseformer.LinearHead',
        in_channels='${channels}',
        in_index='${levels}',
        num_classes='${num_classes}',
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=1.0),
    )
)
