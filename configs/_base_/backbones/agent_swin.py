backbone = dict(type='denseformer.AgentSwin', arch='tiny')
