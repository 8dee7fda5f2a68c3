# PEPSI's training: absolute differences of its coarse and its refined image, and a hinge loss on every region.
default_scope = 'mmengine'
pretrained = None
model = dict(
    type='denseformer.InpaintingRestorer',
    network='${network}',
    discriminator=dict(type='denseformer.RegionDiscriminator', size=('${image_size}', '${image_size}')),
    gan_loss=dict(type='denseformer.GANLoss', kind='hinge', weight=0.1),
    coarse_steps='${max_iters}',
    pretrained='${pretrained}',
)
