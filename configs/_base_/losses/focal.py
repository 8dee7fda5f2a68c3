# Focal loss, https://arxiv.org/abs/1708.02002: pixels that are right already count little; used as dice.py is.
pixel_loss = dict(type='denseformer.FocalLoss', gamma=2.0)
