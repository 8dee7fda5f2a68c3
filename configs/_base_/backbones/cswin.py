backbone = dict(type='denseformer.CSWin', arch='tiny')
