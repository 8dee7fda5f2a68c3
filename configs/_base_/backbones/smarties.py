backbone = dict(type='denseformer.SMARTIES', arch='base')
