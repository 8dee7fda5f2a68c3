backbone = dict(type='denseformer.VAN', arch='b0')
