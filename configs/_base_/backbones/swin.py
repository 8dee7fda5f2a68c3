backbone = dict(type='denseformer.Swin', arch='tiny')
