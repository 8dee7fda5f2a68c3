# The authors decay learning rates by groups of blocks; a layer_decay of 0.96 by block gives the first the rate they do.
backbone = dict(type='denseformer.FFNet', arch='1')
