backbone = dict(type='denseformer.SGFormer', arch='small')
