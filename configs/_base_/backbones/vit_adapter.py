backbone = dict(type='denseformer.ViTAdapter', arch='tiny')
