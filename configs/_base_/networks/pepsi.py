network = dict(type='denseformer.PEPSI', arch='base')
