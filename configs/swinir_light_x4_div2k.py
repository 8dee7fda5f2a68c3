_base_ = [
    './_base_/networks/swinir.py',
    './_base_/restorers/l1.py',
    './_base_/datasets/div2k.py',
    './_base_/schedules/adam_250k_half_rate.py',
    './_base_/runtime/restoration_ema.py',
]
scale, betas = 4, (0.9, 0.999)
network = dict(arch='light')
batch_size, base_batch_size = 8, 64  # on 8 GPUs
pretrained = 'work_dirs/swinir_light_x2_div2k'
published = dict(metric='PSNR', value=32.44, ssim=0.8976, data='Set5', source='JingyunLiang/SwinIR, figs')
