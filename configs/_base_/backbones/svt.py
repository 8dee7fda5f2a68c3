backbone = dict(type='denseformer.SVT', arch='small')
