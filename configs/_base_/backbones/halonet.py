backbone = dict(type='denseformer.HaloNet', arch='26t')
