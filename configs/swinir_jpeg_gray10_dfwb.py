_base_ = [
    './_base_/networks/swinir.py',
    './_base_/restorers/charbonnier.py',
    './_base_/datasets/jpeg.py',
    './_base_/schedules/adam_800k_half_rate.py',
    './_base_/runtime/restoration_ema.py',
]
network = dict(arch='jpeg', in_channels=1)
quality = 10
betas = (0.9, 0.999)
pretrained = 'work_dirs/swinir_jpeg_gray40_dfwb'
published = dict(metric='PSNR', value=30.27, ssim=0.8249, data='Classic5', source='JingyunLiang/SwinIR, figs')
