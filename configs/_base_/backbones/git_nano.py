# Of one and a half million parameters, for small images and CPUs; windows of 40 pixels.
backbone = dict(
    type='denseformer.GiTViT',
    arch=dict(width=96, blocks=6, heads=3, global_blocks=(1, 3), window=5),
    patch_size=8,
    image_size=160,
)
