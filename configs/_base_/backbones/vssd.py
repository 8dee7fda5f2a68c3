backbone = dict(type='denseformer.VSSD', arch='micro')
