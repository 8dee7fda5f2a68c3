# ResNet-50 as kMaX-DeepLab trains it: all of it, with the BatchNorm of the head.
backbone = dict(
    type='mmdet.ResNet',
    depth=50,
    norm_cfg=dict(type='BN', requires_grad=True, eps=1e-3, momentum=0.01),
    norm_eval=False,
    init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
)
channels = (256, 512, 1024, 2048)
strides = (4, 8, 16, 32)
