# Its authors do not say the rate: it is mmsegmentation's for the base, with BEiT's decay.
_base_ = [
    './_base_/backbones/vit.py',
    './_base_/necks/deconv_pyramid.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/beit_160k.py',
    './_base_/runtime/default.py',
]
max_iters, val_interval, backbone = 126_300, 12_630, dict(arch='large', pretrained='mae_imagenet1k', image_size=512, relative_bias=True, antialias=False, out_indices=(7, 11, 15, 23), drop_path_rate=0.2)
model = dict(decode_head=dict(channels=1024), test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(341, 341)))
optim_wrapper = dict(optimizer=dict(lr=1e-4), paramwise_cfg=dict(layer_decay=0.95))
published = dict(metric='mIoU', value=53.6, source='MAE paper, https://arxiv.org/abs/2111.06377')
