# ConvNeXt as kMaX-DeepLab has it: maps without norms, and sides of 32 n + 1 pixels that stay odd.
backbone = dict(type='denseformer.ConvNeXt', arch='tiny', norm_outputs=False, pad_before=True, pretrained='imagenet22k_1k_384')
