# TIPS v2's decoder, on four maps of TIPS with their class tokens: backbone = dict(output_tokens=True).
# Needs of the other bases: backbone (channels follow from it), num_classes, crop_size.
_base_ = './segmentor.py'
model = dict(
    decode_head=dict(
        type='denseformer.TIPSDPTHead',
        in_channels='${channels}',
        num_classes='${num_classes}',
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=1.0),
    )
)
