_base_ = [
    './_base_/networks/drct.py',
    './_base_/restorers/l1.py',
    './_base_/datasets/imagenet_hr.py',
    './_base_/schedules/adam_800k.py',
    './_base_/runtime/restoration_ema.py',
]
scale = 3
