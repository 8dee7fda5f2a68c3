_base_ = [
    './_base_/networks/catanet.py',
    './_base_/restorers/l1.py',
    './_base_/datasets/div2k.py',
    './_base_/schedules/adam_250k_full_rate.py',
    './_base_/runtime/restoration.py',
]
scale = 3
batch_size, base_batch_size, protocol = 16, 64, 'y_unrounded'  # on 4 GPUs
pretrained = 'work_dirs/catanet_x2_div2k'
