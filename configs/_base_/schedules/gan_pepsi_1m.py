# PEPSI's: the discriminator at four times the network's rate, both constant.
max_iters = 1_000_000
val_interval = 10_000
optim_wrapper = dict(
    constructor='denseformer.GANOptimWrapperConstructor',
    network=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.5, 0.9))),
    discriminator=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=4e-4, betas=(0.5, 0.9))),
)
train_cfg = dict(type='IterBasedTrainLoop', max_iters='${max_iters}', val_interval='${val_interval}')
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
