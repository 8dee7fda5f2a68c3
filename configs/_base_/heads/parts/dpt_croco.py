# CroCo's DPT, on four maps of a plain backbone.
# Needs of the other bases: backbone (channels follow from it), num_classes, crop_size.
_base_ = './segmentor.py'
model = dict(
    decode_head=dict(
        type='denseformer.CroCoDPTHead',
        in_channels='${channels}',
        num_classes='${num_classes}',
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=1.0),
    )
)
