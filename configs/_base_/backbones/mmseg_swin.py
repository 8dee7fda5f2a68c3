# mmsegmentation's own Swin-Tiny: any registered backbone drives the heads of this project.
backbone = dict(type='mmseg.SwinTransformer', drop_path_rate=0.3)
channels = (96, 192, 384, 768)
strides = (4, 8, 16, 32)
