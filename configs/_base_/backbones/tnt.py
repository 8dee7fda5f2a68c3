backbone = dict(type='denseformer.TNT', arch='small')
