backbone = dict(type='denseformer.ViTDet', arch='base')
