network = dict(type='denseformer.SwinIR', arch='classical', scale='${scale}')
