backbone = dict(type='denseformer.FcaFormer', arch='l1')
