backbone = dict(type='denseformer.SAM', arch='base')
