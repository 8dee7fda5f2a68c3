backbone = dict(type='denseformer.CARE', arch='s0')
