# The ResNet-vd of RT-DETR's authors: the stem is kept, and all norms; weights are theirs, of ImageNet.
_weights = 'https://github.com/lyuwenyu/storage/releases/download/v0.1/ResNet50_vd_ssld_v2_pretrained_from_paddle.pth'
backbone = dict(
    type='denseformer.ResNetVD',
    depth=50,
    frozen_stages=0,
    norm_cfg=dict(type='BN', requires_grad=False),
    norm_eval=True,
    init_cfg=dict(type='Pretrained', checkpoint=_weights),
)
channels = (256, 512, 1024, 2048)
strides = (4, 8, 16, 32)
