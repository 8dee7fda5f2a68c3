backbone = dict(type='denseformer.MoH', arch='small_80')
