backbone = dict(type='denseformer.NAT', arch='tiny')
