# GeoSeg's recipe for remote sensing: the same with Lookahead, and without weight decay of biases.
_base_ = './adamw_cosine.py'
optim_wrapper = dict(optimizer=dict(type='denseformer.LookaheadAdamW'), paramwise_cfg=dict(bias_decay_mult=0.0))
