backbone = dict(type='denseformer.DINOv3Adapter', arch='dinov3_small')
