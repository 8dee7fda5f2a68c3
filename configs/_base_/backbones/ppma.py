backbone = dict(type='denseformer.PPMA', arch='tiny')
