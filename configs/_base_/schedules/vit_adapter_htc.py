# ViT-Adapter's recipe of HTC++: 36 epochs of large images, 16 GPUs of one. Its authors paste instances moved by some
# pixels besides (InstaBoost), which is left out.
_base_ = './adamw_3x.py'
augmentation = [[dict(type='RandomResize', scale=[(1600, 400), (1600, 1400)], keep_ratio=True)]]
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.9, vector_decay=False, decay_everything=True))
