_base_ = [
    './_base_/systems/bevanet.py',
    './_base_/datasets/camvid.py',
    './_base_/schedules/sgd_poly.py',
    './_base_/runtime/default.py',
]
image_scale, crop_size, batch_size = (960, 720), (720, 960), 24  # the size of the authors' frames
max_iters, val_interval = 1530, 153  # 100 epochs
optim_wrapper = dict(optimizer=dict(lr=3.8e-3))
auto_scale_lr = dict(base_batch_size=24)
published = dict(metric='mIoU', value=83.1, source='maomao0819/BEVANet, README.md')
