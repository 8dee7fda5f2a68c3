_base_ = [
    './_base_/backbones/parts/swin_unet.py',
    './_base_/systems/attswinunet.py',
    './_base_/datasets/isic2018.py',
    './_base_/schedules/adamw_cosine.py',
    './_base_/runtime/default.py',
]
# The authors halve the rate when the validation loss rests; their results are not in their README.
image_scale, crop_size, batch_size = (224, 224), (224, 224), 24
max_iters = 11_400  # 150 epochs
optim_wrapper, auto_scale_lr = dict(optimizer=dict(lr=1e-4)), dict(base_batch_size=24)
