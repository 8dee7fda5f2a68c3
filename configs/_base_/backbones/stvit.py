backbone = dict(type='denseformer.STViT', arch='small')
