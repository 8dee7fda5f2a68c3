# Cross entropy and Lovasz-Softmax, https://arxiv.org/abs/1705.08790, a surrogate of IoU; used as dice.py is.
pixel_loss = [dict(type='CrossEntropyLoss'), dict(type='LovaszLoss', reduction='none')]
