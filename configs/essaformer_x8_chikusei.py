_base_ = [
    './_base_/networks/essaformer.py',
    './_base_/restorers/l1.py',
    './_base_/datasets/chikusei.py',
    './_base_/schedules/adam_250k.py',
    './_base_/runtime/restoration.py',
]
scale = 8
