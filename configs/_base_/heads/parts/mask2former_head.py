# The head of Mask2Former, https://arxiv.org/abs/2112.01527, for all its tasks. Needs of the other bases: backbone
# (channels follow from it), num_classes.
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
