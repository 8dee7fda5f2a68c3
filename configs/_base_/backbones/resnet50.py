# mmsegmentation's own ResNet-50: any registered backbone drives the heads of this project.
backbone = dict(type='mmseg.ResNetV1c', depth=50)
channels = (256, 512, 1024, 2048)
strides = (4, 8, 16, 32)
