backbone = dict(type='denseformer.ViT', arch='base')
