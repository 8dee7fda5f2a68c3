backbone = dict(type='denseformer.DaViT', arch='tiny')
