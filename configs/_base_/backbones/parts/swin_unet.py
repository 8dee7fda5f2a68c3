# The encoder of U-shaped networks of Swin blocks, whose skips are what its stages begin with.
backbone = dict(
    type='denseformer.UNetSwin',
    arch='tiny',
    drop_path_rate=0.1,
    stage_inputs=True,
    pretrained='swin_tiny_imagenet1k',
)
channels = (96, 192, 384, 768)
strides = (4, 8, 16, 32)
