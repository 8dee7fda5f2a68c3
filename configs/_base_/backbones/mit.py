backbone = dict(type='denseformer.MiT', arch='b0')
