network = dict(type='denseformer.HAT', arch='base', scale='${scale}')
