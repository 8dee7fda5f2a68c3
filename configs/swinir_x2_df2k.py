_base_ = [
    './_base_/networks/swinir.py',
    './_base_/restorers/l1.py',
    './_base_/datasets/df2k.py',
    './_base_/schedules/adam_500k.py',
    './_base_/runtime/restoration_ema.py',
]
scale = 2
betas = (0.9, 0.999)
published = dict(metric='PSNR', value=38.42, ssim=0.9623, data='Set5', source='JingyunLiang/SwinIR, figs')
