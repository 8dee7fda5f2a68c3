backbone = dict(type='denseformer.CASViT', arch='xs')
