backbone = dict(type='denseformer.ConViT', arch='tiny', out_indices=(2, 5, 8, 11))
