backbone = dict(type='denseformer.ConViT', arch='tiny')
