backbone = dict(type='denseformer.PyramidTNT', arch='tiny')
