backbone = dict(type='denseformer.TNT', arch='small', out_indices=(2, 5, 8, 11))
