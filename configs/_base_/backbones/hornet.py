# The authors decay learning rates by stage; the layer_decay of the configs, by block, gives the stem the rate they do.
backbone = dict(type='denseformer.HorNet', arch='tiny')
