backbone = dict(type='denseformer.HorNet', arch='tiny')
