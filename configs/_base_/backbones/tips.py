backbone = dict(type='denseformer.TIPS', arch='small')
