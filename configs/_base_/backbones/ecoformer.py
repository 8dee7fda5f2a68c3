backbone = dict(type='denseformer.EcoFormer', arch='b0')
