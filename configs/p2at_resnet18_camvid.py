_base_ = [
    './_base_/systems/p2at.py',
    './_base_/datasets/camvid.py',
    './_base_/schedules/sgd_poly.py',
    './_base_/runtime/default.py',
]
backbone = dict(type='mmseg.ResNet', depth=18, init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18'))
channels, strides = (64, 128, 256, 512), (4, 8, 16, 32)
image_scale, crop_size, batch_size = (960, 720), (720, 960), 4  # the size of the authors' frames; on each of 2 GPUs
max_iters, val_interval = 6420, 642  # 140 epochs, theirs from weights of Cityscapes
optim_wrapper, auto_scale_lr = dict(optimizer=dict(lr=1e-3)), dict(base_batch_size=8)
published = dict(metric='mIoU', value=80.5, source='P2AT, arXiv 2310.15025')
