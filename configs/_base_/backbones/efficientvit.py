backbone = dict(type='denseformer.EfficientViT', arch='m0')
