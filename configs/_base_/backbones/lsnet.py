backbone = dict(type='denseformer.LSNet', arch='tiny')
