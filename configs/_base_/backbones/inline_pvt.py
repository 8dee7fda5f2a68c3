backbone = dict(type='denseformer.InLinePVT', arch='tiny')
