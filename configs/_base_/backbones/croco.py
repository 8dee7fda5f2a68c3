backbone = dict(type='denseformer.CroCo', arch='base')
