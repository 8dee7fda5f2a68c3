_base_ = [
    './_base_/backbones/cswin.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
# The drop path rate of the ImageNet-22K models is not published; this is the ImageNet-1K base model's.
image_scale, crop_size = (2560, 640), (640, 640)
backbone = dict(arch='large', pretrained='imagenet22k', drop_path_rate=0.6)
published = dict(metric='mIoU', value=53.4, multi_scale=55.7, source='microsoft/CSWin-Transformer, README.md')
