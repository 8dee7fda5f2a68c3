# Isomer, https://arxiv.org/abs/2308.06693. Needs of the other bases: backbone of four maps, of which there will be two
# (channels follow from it).
_base_ = '../heads/parts/segmentor.py'
head_channels = 64
model = dict(
    type='denseformer.VideoObjectSegmentor',
    data_preprocessor=dict(type='denseformer.FlowPreProcessor', bgr_to_rgb=False),
    backbone=dict(_delete_=True, type='denseformer.Isomer', stream='${backbone}'),
    decode_head=dict(
        type='denseformer.IsomerHead',
        in_channels='${channels}',
        channels='${head_channels}',
        num_classes='${num_classes}',
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True),
    ),
)
