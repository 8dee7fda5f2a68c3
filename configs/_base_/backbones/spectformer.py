backbone = dict(type='denseformer.SpectFormer', arch='small')
