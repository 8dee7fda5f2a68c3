_base_ = [
    './_base_/networks/swinir.py',
    './_base_/restorers/charbonnier.py',
    './_base_/datasets/jpeg.py',
    './_base_/schedules/adam_1600k.py',
    './_base_/runtime/restoration_ema.py',
]
network = dict(arch='jpeg')
quality, channels, protocol, test_root = 40, 3, 'rgb', 'data/LIVE1'
betas = (0.9, 0.999)
published = dict(metric='PSNR', value=32.75, ssim=0.9174, data='LIVE1', source='JingyunLiang/SwinIR, README')
