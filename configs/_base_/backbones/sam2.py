backbone = dict(type='denseformer.SAM2', arch='tiny')
