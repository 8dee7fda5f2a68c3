backbone = dict(type='denseformer.GiTViT', arch='base')
