backbone = dict(type='denseformer.MaxViT', arch='tiny')
