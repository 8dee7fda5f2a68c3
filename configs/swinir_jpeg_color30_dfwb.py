_base_ = [
    './_base_/networks/swinir.py',
    './_base_/restorers/charbonnier.py',
    './_base_/datasets/jpeg.py',
    './_base_/schedules/adam_800k_half_rate.py',
    './_base_/runtime/restoration_ema.py',
]
network = dict(arch='jpeg')
quality, channels, protocol, test_root = 30, 3, 'rgb', 'data/LIVE1'
betas = (0.9, 0.999)
pretrained = 'work_dirs/swinir_jpeg_color40_dfwb'
published = dict(metric='PSNR', value=31.82, ssim=0.9018, data='LIVE1', source='JingyunLiang/SwinIR, README')
