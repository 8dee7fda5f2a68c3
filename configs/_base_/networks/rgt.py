network = dict(type='denseformer.RGT', arch='base', scale='${scale}')
