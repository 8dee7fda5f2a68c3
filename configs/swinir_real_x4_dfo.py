_base_ = [
    './_base_/networks/swinir.py',
    './_base_/restorers/l1.py',
    './_base_/datasets/real_world_shuffled.py',
    './_base_/schedules/adam_1m_halved.py',
    './_base_/runtime/restoration_ema.py',
]
scale = 4
network = dict(arch='real')
betas = (0.9, 0.999)
