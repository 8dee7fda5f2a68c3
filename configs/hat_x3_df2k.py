_base_ = [
    './_base_/networks/hat.py',
    './_base_/restorers/l1.py',
    './_base_/datasets/df2k.py',
    './_base_/schedules/adam_500k.py',
    './_base_/runtime/restoration_ema.py',
]
scale = 3
published = dict(metric='PSNR', value=35.07, ssim=0.9329, data='Set5', source='LabShuHangGU/PFT-SR, table of results')
