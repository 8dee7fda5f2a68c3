backbone = dict(type='denseformer.MoH', arch='small_80', image_size=512, extrapolate=False)
