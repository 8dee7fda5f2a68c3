# DPT, https://arxiv.org/abs/2103.13413, on four maps of a plain backbone. The class token takes part with
# readout='project' and backbone = dict(output_tokens=True).
# Needs of the other bases: backbone (channels follow from it), num_classes, crop_size.
_base_ = './parts/segmentor.py'
model = dict(
    decode_head=dict(
        type='denseformer.DPTHead',
        in_channels='${channels}',
        readout='ignore',
        num_classes='${num_classes}',
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=1.0),
    )
)
