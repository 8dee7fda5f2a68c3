backbone = dict(type='denseformer.SNNet', arch='small_large')
custom_hooks = [dict(type='denseformer.FitStitchesHook')]
