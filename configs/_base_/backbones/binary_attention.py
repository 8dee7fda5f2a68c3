backbone = dict(type='denseformer.BinaryAttention', arch='tiny')
