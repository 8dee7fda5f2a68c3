network = dict(type='denseformer.DLGSANet', arch='large', scale='${scale}')
