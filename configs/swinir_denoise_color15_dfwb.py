_base_ = [
    './_base_/networks/swinir.py',
    './_base_/restorers/charbonnier.py',
    './_base_/datasets/denoising.py',
    './_base_/schedules/adam_1600k.py',
    './_base_/runtime/restoration_ema.py',
]
network = dict(arch='denoising')
sigma, test_root = 15, 'data/CBSD68'
betas = (0.9, 0.999)
published = dict(metric='PSNR', value=34.42, data='CBSD68', source='JingyunLiang/SwinIR, figs')
