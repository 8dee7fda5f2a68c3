# Real-ESRGAN's training: pixels, VGG19 features and a discriminator. With sharpen = 0.5 the first two are compared with
# sharpened targets, as in Real-ESRGAN. VGG19's weights are yours to bring, in torchvision's layout.
default_scope = 'mmengine'
pretrained = None
sharpen = 0.0
vgg_weights = 'data/weights/vgg19.pth'
model = dict(
    type='denseformer.AdversarialRestorer',
    network='${network}',
    losses=[dict(type='denseformer.L1Loss'), dict(type='denseformer.PerceptualLoss', weights='${vgg_weights}')],
    discriminator=dict(type='denseformer.UNetDiscriminator'),
    gan_loss=dict(type='denseformer.GANLoss', kind='vanilla', weight=0.1),
    sharpen='${sharpen}',
    pretrained='${pretrained}',
)
# On several GPUs, or in several processes, the network and the discriminator are synchronised one by one. Without
# device_ids each stays where its process has put it, on CPU, too.
model_wrapper_cfg = dict(type='MMSeparateDistributedDataParallel', find_unused_parameters=True, device_ids=None)
