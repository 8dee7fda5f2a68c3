backbone = dict(type='denseformer.DiNAT', arch='tiny')
