backbone = dict(type='denseformer.A2Mamba', arch='nano')
