network = dict(type='denseformer.DRCT', arch='base', scale='${scale}')
