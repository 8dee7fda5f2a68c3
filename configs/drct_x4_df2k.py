_base_ = [
    './_base_/networks/drct.py',
    './_base_/restorers/l1.py',
    './_base_/datasets/df2k.py',
    './_base_/schedules/adam_250k.py',
    './_base_/runtime/restoration_ema.py',
]
scale = 4
pretrained = 'work_dirs/drct_x2_df2k'
published = dict(metric='PSNR', value=33.11, data='Set5', source='ming053l/DRCT, README.md')
