backbone = dict(type='denseformer.TransNeXt', arch='tiny', image_size=512)
