backbone = dict(type='denseformer.L2ViT', arch='tiny')
