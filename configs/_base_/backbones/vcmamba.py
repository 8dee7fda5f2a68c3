backbone = dict(type='denseformer.VCMamba', arch='small')
