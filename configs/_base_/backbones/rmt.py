backbone = dict(type='denseformer.RMT', arch='tiny')
