backbone = dict(type='denseformer.STViTR', arch='swin_small')
