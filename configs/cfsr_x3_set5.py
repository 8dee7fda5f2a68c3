_base_ = [
    './_base_/networks/cfsr.py',
    './_base_/restorers/l1.py',
    './_base_/datasets/set5.py',
    './_base_/schedules/scoring.py',
    './_base_/runtime/restoration.py',
]
scale = 3
network = dict(merged=True)  # the form in which the weights were published
test_files = dict(img_path='LR_bicubic/X3')
published = dict(metric='PSNR', value=34.50, ssim=0.9279, data='Set5', source='the CFSR paper')
