_base_ = [
    './_base_/networks/drct.py',
    './_base_/restorers/gan.py',
    './_base_/datasets/real_world.py',
    './_base_/schedules/gan_400k.py',
    './_base_/runtime/restoration_ema.py',
]
scale, sharpen = 4, 0.5
pretrained = 'work_dirs/drct_real_x4_dfo'
rotate = False
