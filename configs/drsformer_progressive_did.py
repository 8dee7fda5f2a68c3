_base_ = [
    './_base_/networks/drsformer.py',
    './_base_/restorers/l1_progressive.py',
    './_base_/datasets/rain.py',
    './_base_/schedules/adamw_300k.py',
    './_base_/runtime/restoration.py',
]
protocol, downsample = 'y', True
data_root = 'data/DID-Data'
patch_size, batch_size, base_batch_size = 384, 8, 64
