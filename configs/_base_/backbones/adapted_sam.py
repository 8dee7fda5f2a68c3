backbone = dict(type='denseformer.AdaptedSAM', arch='huge', neck=True, frozen=True)
