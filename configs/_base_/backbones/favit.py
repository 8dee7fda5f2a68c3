backbone = dict(type='denseformer.FaViT', arch='b0')
