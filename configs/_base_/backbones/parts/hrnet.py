# HRNet-W48, https://arxiv.org/abs/1908.07919, from ImageNet's weights.
backbone = dict(
    type='denseformer.HRNet',
    width=48,
    init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://msra/hrnetv2_w48'),
)
channels = (48, 96, 192, 384)
strides = (4, 8, 16, 32)
