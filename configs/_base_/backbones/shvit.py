backbone = dict(type='denseformer.SHViT', arch='s1')
