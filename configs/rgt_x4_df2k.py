_base_ = [
    './_base_/networks/rgt.py',
    './_base_/restorers/l1.py',
    './_base_/datasets/df2k.py',
    './_base_/schedules/adam_500k.py',
    './_base_/runtime/restoration.py',
]
scale = 4
batch_size = 8  # on 4 GPUs
pretrained = 'work_dirs/rgt_x2_df2k'
published = dict(metric='PSNR', value=33.12, ssim=0.906, data='Set5', source='zhengchen1999/RGT, figs/T1.png')
