# A DiNAT of two million parameters, for small images and CPUs.
backbone = dict(
    type='denseformer.DiNAT',
    arch=dict(width=32, depths=(2, 2, 4, 2), heads=(2, 4, 8, 16), mlp_ratio=2),
    dilations=((1, 4), (1, 2), (1, 1, 1, 1), (1, 1)),
)
