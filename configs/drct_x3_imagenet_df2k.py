_base_ = [
    './_base_/networks/drct.py',
    './_base_/restorers/l1.py',
    './_base_/datasets/df2k.py',
    './_base_/schedules/adam_250k.py',
    './_base_/runtime/restoration_ema.py',
]
scale = 3
optim_wrapper = dict(optimizer=dict(lr=1e-5))
pretrained = 'work_dirs/drct_x3_imagenet'
