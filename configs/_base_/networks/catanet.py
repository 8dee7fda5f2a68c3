network = dict(type='denseformer.CATANet', arch='base', scale='${scale}')
