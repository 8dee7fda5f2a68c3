backbone = dict(type='denseformer.ViTamin', arch='small', out_indices=(0, 1, 2, 3))
