# Super-resolution from random weights: Adam, the rate falling in half a cosine; 4 GPUs of 16 patches.
max_iters = 500_000
val_interval = 5000
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.9, 0.99)))
param_scheduler = [dict(type='CosineAnnealingLR', T_max='${max_iters}', eta_min=1e-5, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters='${max_iters}', val_interval='${val_interval}')
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
