_base_ = [
    './_base_/networks/cfsr.py',
    './_base_/restorers/l1.py',
    './_base_/datasets/set5.py',
    './_base_/schedules/scoring.py',
    './_base_/runtime/restoration.py',
]
scale = 2
network = dict(merged=True)  # the form in which the weights were published
test_files = dict(img_path='LR_bicubic/X2')
published = dict(metric='PSNR', value=38.07, ssim=0.9607, data='Set5', source='the CFSR paper')
