backbone = dict(type='denseformer.GCViT', arch='xxtiny')
