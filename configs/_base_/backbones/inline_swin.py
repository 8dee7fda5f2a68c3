backbone = dict(type='denseformer.InLineSwin', arch='tiny')
