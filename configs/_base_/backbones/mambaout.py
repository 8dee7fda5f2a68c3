backbone = dict(type='denseformer.MambaOut', arch='femto')
