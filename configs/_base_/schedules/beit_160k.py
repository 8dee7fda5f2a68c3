# BEiT's recipe, which MAE's and ViT-Adapter's follow: rates fall with depth, and what decays is all but vectors.
_base_ = './adamw_160k.py'
optim_wrapper = dict(optimizer=dict(weight_decay=0.05), paramwise_cfg=dict(vector_decay=False, decay_everything=True))
