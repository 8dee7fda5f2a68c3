backbone = dict(type='denseformer.T2TViT', arch='7')
