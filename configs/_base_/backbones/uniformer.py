backbone = dict(type='denseformer.UniFormer', arch='small')
