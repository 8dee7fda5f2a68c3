# The authors decay learning rates by stage; a layer_decay of 0.96 by block gives the stem the rate they give it.
backbone = dict(type='denseformer.ConvNeXt', arch='tiny', layer_scale=1.0)
