backbone = dict(type='denseformer.ViR', arch='small')
