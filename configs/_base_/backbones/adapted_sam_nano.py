# A small one to train from nothing, for small images and CPUs; its embedding has 64 channels.
backbone = dict(
    type='denseformer.AdaptedSAM',
    arch=dict(width=96, blocks=6, heads=3, global_blocks=(2, 5), window=5, neck_width=64, adapted=(1, 3, 5)),
    patch_size=8,
    image_size=160,
    neck=True,
    frozen=False,
)
