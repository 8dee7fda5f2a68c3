backbone = dict(type='denseformer.FocalNet', arch='tiny_srf')
