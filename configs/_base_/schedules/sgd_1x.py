# "1x" of the detection literature with SGD: 12 epochs at one scale.
_base_ = './adamw_1x.py'
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-4)
)
