# Cross entropy of hard pixels alone, a tenth of them at least; used as dice.py is.
pixel_loss = dict(type='denseformer.HardPixelLoss', threshold=0.7, least=0.1)
