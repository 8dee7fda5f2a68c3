backbone = dict(type='denseformer.FAN', arch='tiny_hybrid')
