network = dict(type='denseformer.DRSformer', arch='base')
