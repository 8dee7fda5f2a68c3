backbone = dict(type='denseformer.DiNAT_s', arch='tiny')
