backbone = dict(type='denseformer.PoolFormer', arch='s12')
