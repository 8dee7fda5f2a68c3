_base_ = [
    './_base_/networks/swinir.py',
    './_base_/restorers/l1.py',
    './_base_/datasets/div2k.py',
    './_base_/schedules/adam_250k_half_rate.py',
    './_base_/runtime/restoration_ema.py',
]
scale = 4
patch_size = 48
pretrained = 'work_dirs/swinir_x2_div2k'
betas = (0.9, 0.999)
published = dict(metric='PSNR', value=32.72, ssim=0.9021, data='Set5', source='JingyunLiang/SwinIR, figs')
