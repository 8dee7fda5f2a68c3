backbone = dict(type='denseformer.BiFormer', arch='tiny')
