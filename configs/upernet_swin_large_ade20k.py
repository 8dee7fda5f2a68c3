_base_ = [
    './_base_/backbones/swin.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
# The authors published this result without its file; windows and drop path are those of their base model.
image_scale, crop_size = (2560, 640), (640, 640)
backbone = dict(arch='large', pretrained='imagenet22k', drop_path_rate=0.3)
published = dict(metric='mIoU', value=52.05, multi_scale=53.53, source='microsoft/Swin-Transformer, README.md')
