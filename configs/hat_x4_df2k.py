_base_ = [
    './_base_/networks/hat.py',
    './_base_/restorers/l1.py',
    './_base_/datasets/df2k.py',
    './_base_/schedules/adam_250k.py',
    './_base_/runtime/restoration_ema.py',
]
scale = 4
pretrained = 'work_dirs/hat_x2_df2k'
published = dict(metric='PSNR', value=33.04, ssim=0.9056, data='Set5', source='LabShuHangGU/PFT-SR, table of results')
