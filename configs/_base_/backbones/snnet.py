backbone = dict(type='denseformer.SNNet', arch='small_large')
