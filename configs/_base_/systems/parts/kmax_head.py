# The head of kMaX-DeepLab, https://arxiv.org/abs/2207.04044, before its task is known.
head = dict(
    type='denseformer.KMaXHead',
    in_channels='${channels}',
    num_classes='${num_classes}',
    num_queries=128,  # the most masks in an image
)
