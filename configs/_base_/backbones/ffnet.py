backbone = dict(type='denseformer.FFNet', arch='1')
