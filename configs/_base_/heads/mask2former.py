# Mask2Former, https://arxiv.org/abs/2112.01527, for instances; the files beside it say in what other tasks differ.
# Needs of the other bases: backbone (channels follow from it), num_classes.
default_scope = 'mmdet'
head = dict(
    type='denseformer.Mask2FormerHead',
    in_channels='${channels}',
    num_classes='${num_classes}',
    num_queries=100,  # the most masks in an image
    width=256,
    num_heads=8,
    encoder_layers=6,
    decoder_layers=9,
    num_points=12544,  # at which a mask is compared with a label: 112 x 112
)
model = dict(
    type='Mask2Former',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
        pad_mask=True,
    ),
    backbone='${backbone}',
    panoptic_head='${head}',
    panoptic_fusion_head=dict(type='denseformer.MaskFusion', num_classes='${num_classes}', max_per_image=100),
)
