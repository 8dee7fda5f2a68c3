_base_ = [
    './_base_/networks/swinir.py',
    './_base_/restorers/charbonnier.py',
    './_base_/datasets/jpeg.py',
    './_base_/schedules/adam_1600k.py',
    './_base_/runtime/restoration_ema.py',
]
network = dict(arch='jpeg', in_channels=1)
quality = 40
betas = (0.9, 0.999)
published = dict(metric='PSNR', value=34.52, ssim=0.9082, data='Classic5', source='JingyunLiang/SwinIR, figs')
