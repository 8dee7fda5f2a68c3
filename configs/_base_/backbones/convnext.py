backbone = dict(type='denseformer.ConvNeXt', arch='tiny', layer_scale=1.0)
