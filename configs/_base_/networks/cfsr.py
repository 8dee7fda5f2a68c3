network = dict(type='denseformer.CFSR', arch='base', scale='${scale}')
