_base_ = [
    './_base_/networks/swinir.py',
    './_base_/restorers/charbonnier.py',
    './_base_/datasets/jpeg.py',
    './_base_/schedules/adam_1600k.py',
    './_base_/runtime/restoration_ema.py',
]
network = dict(arch='jpeg')
quality, channels, protocol, test_root = 20, 3, 'rgb', 'data/LIVE1'
published = dict(metric='PSNR', value=30.45, ssim=0.8741, data='LIVE1', source='JingyunLiang/SwinIR, README')
