# Real-ESRGAN's training: pixels and VGG19 features against sharpened targets, and a discriminator. VGG19's weights are
# yours to bring, in torchvision's layout.
default_scope = 'mmengine'
start_from = None
vgg_weights = 'data/weights/vgg19.pth'
model = dict(
    type='denseformer.AdversarialRestorer',
    network='${network}',
    losses=[dict(type='denseformer.L1Loss'), dict(type='denseformer.PerceptualLoss', weights='${vgg_weights}')],
    discriminator=dict(type='denseformer.UNetDiscriminator'),
    gan_loss=dict(type='denseformer.GANLoss', kind='vanilla', weight=0.1),
    sharpen=0.5,
    start_from='${start_from}',
)
# On several GPUs the network and the discriminator are synchronised one by one.
model_wrapper_cfg = dict(type='MMSeparateDistributedDataParallel', find_unused_parameters=True)
