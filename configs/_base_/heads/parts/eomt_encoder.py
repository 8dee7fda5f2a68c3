# The transformer of EoMT, https://arxiv.org/abs/2503.19108, for all its tasks. Needs of the other bases: backbone (a
# plain one), num_classes.
encoder = dict(
    type='denseformer.EoMT',
    backbone='${backbone}',
    num_classes='${num_classes}',
    num_queries=200,  # the most masks in an image
    query_blocks=4,  # the last ones, that take queries among their tokens
)
head = dict(
    type='denseformer.EoMTHead',
    num_classes='${num_classes}',
    num_points=12544,  # at which a mask is compared with a label: 112 x 112
)
