# ATSS, https://arxiv.org/abs/1912.02424: scores weighed by how near to an object's center a place is.
_base_ = './parts/one_anchor.py'
model = dict(
    type='ATSS',
    bbox_head=dict(
        type='ATSSHead',
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=[0.1, 0.1, 0.2, 0.2]),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True),
    ),
)
