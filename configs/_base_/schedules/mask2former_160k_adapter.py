# Mask2Former's recipe where the backbone is frozen: what is new in its adapter learns at the head's rate.
_base_ = './mask2former_160k.py'
optim_wrapper = dict(paramwise_cfg=dict(backbone_lr_mult=1.0))
