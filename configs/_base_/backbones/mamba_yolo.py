backbone = dict(type='denseformer.MambaYOLO', arch='tiny')
