# DPT as CroCo v2's authors have it for depth, with a score per class: a residual pyramid without norms, and scores as
# fine as the image. Takes the authors' finished models on backbones/croco.
# Needs of the other bases: backbone (four maps of one stride; channels follow from it), num_classes, crop_size.
_base_ = './parts/segmentor.py'
model = dict(
    type='denseformer.Segmentor',
    decode_head=dict(
        type='denseformer.CroCoHead',
        in_channels='${channels}',
        num_classes='${num_classes}',
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=1.0),
    ),
)
