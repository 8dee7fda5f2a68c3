_base_ = [
    './_base_/networks/swinir.py',
    './_base_/restorers/gan.py',
    './_base_/datasets/real_world_shuffled.py',
    './_base_/schedules/gan_600k.py',
    './_base_/runtime/restoration_ema.py',
]
scale = 4
network = dict(arch='real')
pretrained = 'work_dirs/swinir_real_x4_dfo'
betas = (0.9, 0.999)
