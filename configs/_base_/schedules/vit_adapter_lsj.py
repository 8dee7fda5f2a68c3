# Large-scale jitter as ViT-Adapter trains on MAE: 25 epochs along half a cosine.
_base_ = './adamw_lsj.py'
epochs = 25
warmup_iters = 2000
val_interval = 1
smallest_box, redraw_empty = (0.01, 0.01), True
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end='${warmup_iters}'),
    dict(type='CosineAnnealingLR', eta_min_ratio=0.01, by_epoch=True, begin=0, end='${epochs}', T_max='${epochs}'),
]
optim_wrapper = dict(paramwise_cfg=dict(vector_decay=False, head_no_decay=('norm', 'level_embed')))
