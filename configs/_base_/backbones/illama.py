backbone = dict(type='denseformer.ILLaMA', arch='tiny')
