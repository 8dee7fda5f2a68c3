backbone = dict(type='denseformer.DINOv2', arch='small')
