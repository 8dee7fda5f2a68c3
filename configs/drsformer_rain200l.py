_base_ = [
    './_base_/networks/drsformer.py',
    './_base_/restorers/l1.py',
    './_base_/datasets/rain.py',
    './_base_/schedules/adamw_300k.py',
    './_base_/runtime/restoration.py',
]
network = dict(experts=False)
data_root = 'data/Rain200L'
published = dict(metric='PSNR', value=41.23, ssim=0.9894, data='Rain200L', source='cschenxiang/DRSformer, figs/table.png')
