_base_ = [
    './_base_/networks/drsformer.py',
    './_base_/restorers/l1.py',
    './_base_/datasets/rain.py',
    './_base_/schedules/adamw_300k.py',
    './_base_/runtime/restoration.py',
]
protocol, downsample = 'y', True
data_root = 'data/DDN-Data'
published = dict(metric='PSNR', value=34.35, ssim=0.9588, data='DDN-Data', source='cschenxiang/DRSformer, figs/table.png')
