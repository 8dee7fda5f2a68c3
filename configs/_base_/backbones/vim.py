backbone = dict(type='denseformer.Vim', arch='tiny')
