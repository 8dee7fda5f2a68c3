# ResNet-vd of 18 or 34 layers, all of which learn.
_base_ = './resnet_vd.py'
_weights = 'https://github.com/lyuwenyu/storage/releases/download/v0.1/ResNet18_vd_pretrained_from_paddle.pth'
backbone = dict(
    depth=18, frozen_stages=-1, norm_eval=False, norm_cfg=dict(requires_grad=True), init_cfg=dict(checkpoint=_weights)
)
channels = (64, 128, 256, 512)
