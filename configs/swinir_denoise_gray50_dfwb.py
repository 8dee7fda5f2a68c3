_base_ = [
    './_base_/networks/swinir.py',
    './_base_/restorers/charbonnier.py',
    './_base_/datasets/denoising.py',
    './_base_/schedules/adam_800k_half_rate.py',
    './_base_/runtime/restoration_ema.py',
]
network = dict(arch='denoising', in_channels=1)
sigma, channels, protocol, test_root = 50, 1, 'y', 'data/Set12'
betas = (0.9, 0.999)
pretrained = 'work_dirs/swinir_denoise_gray15_dfwb'
published = dict(metric='PSNR', value=27.91, data='Set12', source='JingyunLiang/SwinIR, figs')
