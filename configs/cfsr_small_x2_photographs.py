_base_ = [
    './_base_/networks/cfsr.py',
    './_base_/restorers/l1.py',
    './_base_/datasets/photographs.py',
    './_base_/schedules/adam_minutes.py',
    './_base_/runtime/restoration.py',
]
scale = 2
network = dict(arch=dict(_delete_=True, dim=32, groups=1, blocks=4, kernel_size=7))
