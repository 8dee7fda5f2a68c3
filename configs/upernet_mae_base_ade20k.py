# mmsegmentation's network has layer scale besides, which starts at 1.
_base_ = [
    './_base_/backbones/vit.py',
    './_base_/necks/deconv_pyramid.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/beit_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='base', pretrained='mae_imagenet1k', image_size=512, relative_bias=True, antialias=False, out_indices=(3, 5, 7, 11), drop_path_rate=0.1)
model = dict(decode_head=dict(channels=768), test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(341, 341)))
optim_wrapper = dict(optimizer=dict(lr=1e-4), paramwise_cfg=dict(layer_decay=0.65))
published = dict(metric='mIoU', value=48.13, multi_scale=48.7, source='open-mmlab/mmsegmentation, configs/mae/README.md')
