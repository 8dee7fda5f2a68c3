_base_ = [
    './_base_/networks/hat.py',
    './_base_/restorers/l1.py',
    './_base_/datasets/df2k.py',
    './_base_/schedules/adam_250k.py',
    './_base_/runtime/restoration_ema.py',
]
scale = 4
network = dict(arch='large')
optim_wrapper = dict(optimizer=dict(lr=1e-5))
pretrained = 'work_dirs/hat_large_x4_imagenet'
published = dict(metric='PSNR', value=33.3, data='Set5', source='ming053l/DRCT, README.md')
