backbone = dict(type='denseformer.Hiera', arch='tiny')
