_base_ = [
    './_base_/networks/dlgsanet.py',
    './_base_/restorers/l1.py',
    './_base_/datasets/div2k.py',
    './_base_/schedules/adam_500k.py',
    './_base_/runtime/restoration_ema.py',
]
scale = 3
patch_size, batch_size, base_batch_size = 48, 8, 16  # on 2 GPUs
optim_wrapper = dict(optimizer=dict(lr=5e-4))
published = dict(metric='PSNR', value=34.95, ssim=0.931, data='Set5', source='NeonLeexiang/DLGSANet, docs/index.html')
