backbone = dict(type='denseformer.SOFT', arch='tiny', normalize=True)
