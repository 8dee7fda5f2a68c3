backbone = dict(type='denseformer.MobileMamba', arch='t2')
