# Cross entropy and the Tversky index, which counts missed pixels more than extra ones; used as dice.py is.
pixel_loss = [dict(type='CrossEntropyLoss'), dict(type='denseformer.TverskyLoss', alpha=0.3, beta=0.7)]
