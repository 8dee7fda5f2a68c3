# Cross entropy and Dice, for classes of few pixels. A config with this base names it:
# model = dict(decode_head=dict(loss_decode='${pixel_loss}'))
pixel_loss = [dict(type='CrossEntropyLoss'), dict(type='denseformer.DiceLoss')]
