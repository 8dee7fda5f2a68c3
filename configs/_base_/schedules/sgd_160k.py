# mmsegmentation's recipe of SGD: 8 GPUs of 2 images.
_base_ = './sgd_poly.py'
max_iters, val_interval = 160_000, 16_000
param_scheduler = [dict(type='PolyLR', eta_min=1e-4, power=0.9, by_epoch=False, begin=0, end='${max_iters}')]
auto_scale_lr = dict(base_batch_size=16)
