backbone = dict(type='denseformer.CrossFormer', arch='tiny')
