# ResNet-50 as kMaX-DeepLab trains it on Cityscapes, whose pixel decoder reads the map of the stem last but one.
_base_ = './resnet_kmax.py'
backbone = dict(type='denseformer.KMaXResNet')
channels = (256, 64, 512, 1024, 2048)
strides = (4, 4, 8, 16, 32)
