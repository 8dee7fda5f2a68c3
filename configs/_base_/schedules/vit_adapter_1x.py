# "1x" with ViT-Adapter's exemptions from weight decay.
_base_ = './adamw_1x.py'
optim_wrapper = dict(paramwise_cfg=dict(vector_decay=False, head_no_decay=('norm', 'level_embed')))
