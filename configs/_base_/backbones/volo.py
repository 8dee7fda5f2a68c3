backbone = dict(type='denseformer.VOLO', arch='d1', image_size=512)
