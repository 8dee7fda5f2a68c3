_base_ = [
    './_base_/networks/drsformer.py',
    './_base_/restorers/l1.py',
    './_base_/datasets/rain.py',
    './_base_/schedules/adamw_300k.py',
    './_base_/runtime/restoration.py',
]
network = dict(experts=False)
data_root = 'data/SPA-Data'
published = dict(metric='PSNR', value=48.54, ssim=0.9924, data='SPA-Data', source='cschenxiang/DRSformer, figs/table.png')
