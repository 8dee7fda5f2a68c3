backbone = dict(type='denseformer.DINOv3', arch='small')
