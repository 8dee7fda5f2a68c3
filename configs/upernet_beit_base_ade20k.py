_base_ = [
    './_base_/backbones/vit.py', './_base_/necks/deconv_pyramid.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/beit_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='beit_base', pretrained='imagenet22k', image_size=640, drop_path_rate=0.1)
image_scale, crop_size = (2560, 640), (640, 640)
model = dict(decode_head=dict(channels=768), test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(426, 426)))
optim_wrapper = dict(optimizer=dict(lr=3e-5), paramwise_cfg=dict(layer_decay=0.9))
published = dict(metric='mIoU', value=53.6, multi_scale=54.2, source='microsoft/unilm, beit/README.md')
