_base_ = [
    './_base_/networks/drsformer.py',
    './_base_/restorers/l1.py',
    './_base_/datasets/rain.py',
    './_base_/schedules/adamw_300k.py',
    './_base_/runtime/restoration.py',
]
data_root = 'data/Rain200H'
published = dict(metric='PSNR', value=32.17, ssim=0.9326, data='Rain200H', source='cschenxiang/DRSformer, figs/table.png')
