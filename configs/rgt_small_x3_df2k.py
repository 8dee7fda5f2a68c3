_base_ = [
    './_base_/networks/rgt.py',
    './_base_/restorers/l1.py',
    './_base_/datasets/df2k.py',
    './_base_/schedules/adam_500k.py',
    './_base_/runtime/restoration.py',
]
scale = 3
network = dict(arch='small')
batch_size = 8  # on 4 GPUs
pretrained = 'work_dirs/rgt_small_x2_df2k'
published = dict(metric='PSNR', value=35.11, ssim=0.9328, data='Set5', source='zhengchen1999/RGT, figs/T1.png')
