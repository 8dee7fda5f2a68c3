# Generalized focal loss, https://arxiv.org/abs/2006.04388: scores that learn the overlap, sides of boxes as distributions.
_base_ = './parts/one_anchor.py'
model = dict(
    type='GFL',
    bbox_head=dict(type='GFLHead', loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True)),
)
