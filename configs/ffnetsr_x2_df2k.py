# The authors publish the result as a picture of a table.
_base_ = [
    './_base_/networks/ffnetsr.py',
    './_base_/restorers/l1_frequency.py',
    './_base_/datasets/df2k.py',
    './_base_/schedules/adam_500k_cosine.py',
    './_base_/runtime/restoration.py',
]
scale = 2
network = dict(arch='base')
patch_size, batch_size, base_batch_size = 96, 16, 64
