backbone = dict(type='denseformer.SwinV2', arch='tiny')
