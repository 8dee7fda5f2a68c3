_base_ = [
    './_base_/networks/hat.py',
    './_base_/restorers/l1.py',
    './_base_/datasets/df2k.py',
    './_base_/schedules/adam_500k.py',
    './_base_/runtime/restoration_ema.py',
]
scale = 2
published = dict(metric='PSNR', value=38.63, ssim=0.963, data='Set5', source='LabShuHangGU/PFT-SR, table of results')
