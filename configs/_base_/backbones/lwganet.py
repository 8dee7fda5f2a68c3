backbone = dict(type='denseformer.LWGANet', arch='l0')
