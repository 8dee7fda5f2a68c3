_base_ = [
    './_base_/networks/swinir.py',
    './_base_/restorers/l1.py',
    './_base_/datasets/df2k.py',
    './_base_/schedules/adam_250k_half_rate.py',
    './_base_/runtime/restoration_ema.py',
]
scale = 3
pretrained = 'work_dirs/swinir_x2_df2k'
betas = (0.9, 0.999)
published = dict(metric='PSNR', value=34.97, ssim=0.9318, data='Set5', source='JingyunLiang/SwinIR, figs')
