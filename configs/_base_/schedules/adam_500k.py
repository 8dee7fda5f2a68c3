# Super-resolution from random weights: Adam, the rate halved four times; 8 GPUs of 4 patches.
max_iters = 500_000
milestones = (250_000, 400_000, 450_000, 475_000)
val_interval = 5000
betas = (0.9, 0.99)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-4, betas='${betas}'))
param_scheduler = [dict(type='MultiStepLR', milestones='${milestones}', gamma=0.5, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters='${max_iters}', val_interval='${val_interval}')
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
