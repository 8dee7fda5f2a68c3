network = dict(type='denseformer.ESSAformer', arch='base', scale='${scale}', in_channels='${bands}')
