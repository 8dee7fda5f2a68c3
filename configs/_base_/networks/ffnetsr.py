network = dict(type='denseformer.FFNetSR', arch='light', scale='${scale}')
