backbone = dict(type='denseformer.AgentPVT', arch='tiny')
