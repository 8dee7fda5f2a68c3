# A DiNAT of 0.9 million parameters: a model with it fits into 2.5 MB at half precision.
backbone = dict(
    type='denseformer.DiNAT',
    arch=dict(width=24, depths=(2, 2, 4, 1), heads=(1, 2, 4, 8), mlp_ratio=2),
    dilations=((1, 4), (1, 2), (1, 1, 1, 1), (1,)),
)
