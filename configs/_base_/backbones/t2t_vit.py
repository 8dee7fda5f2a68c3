backbone = dict(type='denseformer.T2TViT', arch='7', out_indices=(1, 3, 5, 7))
