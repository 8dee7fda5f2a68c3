_base_ = [
    './_base_/networks/pepsi.py',
    './_base_/restorers/inpainting.py',
    './_base_/datasets/inpainting.py',
    './_base_/schedules/gan_pepsi_1m.py',
    './_base_/runtime/restoration.py',
]
