# UniFormer's: twice as long, with a warm-up and a cosine.
_base_ = './semantic_fpn_40k.py'
max_iters = 80_000
warmup_iters = 1000
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end='${warmup_iters}'),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin='${warmup_iters}', end='${max_iters}'),
]
