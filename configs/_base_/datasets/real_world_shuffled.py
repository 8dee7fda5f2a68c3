# The same images degraded as BSRGAN does it: blur, shrinking, noise and JPEG in random order.
_base_ = './real_world.py'
degraded_size = 256
train_degradation = dict(type='denseformer.BSRGANDegradation')
