# mmdetection's own ResNet, as its detectors train it: the stem and the first stage are kept, and all norms.
backbone = dict(
    type='mmdet.ResNet',
    depth=50,
    frozen_stages=1,
    norm_cfg=dict(type='BN', requires_grad=True),
    norm_eval=True,
    init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
)
channels = (256, 512, 1024, 2048)
strides = (4, 8, 16, 32)
