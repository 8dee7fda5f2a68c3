backbone = dict(type='denseformer.CvT', arch='13')
