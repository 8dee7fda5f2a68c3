# Real-ESRGAN's second stage: the network and the discriminator at the same constant rate.
_base_ = './adam_500k.py'
max_iters = 400_000
milestones = (400_000,)
_part = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas='${betas}'))
optim_wrapper = dict(
    _delete_=True,
    constructor='denseformer.GANOptimWrapperConstructor',
    network=_part,
    discriminator=_part,
)
