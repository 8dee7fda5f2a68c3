# A network and a pixel loss: what most restoration networks are trained by. Needs of the other bases: network.
default_scope = 'mmengine'
pretrained = None
model = dict(
    type='denseformer.Restorer',
    network='${network}',
    losses=[dict(type='denseformer.L1Loss')],
    pretrained='${pretrained}',
)
