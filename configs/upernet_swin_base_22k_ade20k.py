_base_ = [
    './_base_/backbones/swin.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
# The authors published this result without its file; windows and drop path are those of their base model.
image_scale, crop_size = (2560, 640), (640, 640)
backbone = dict(arch='base', pretrained='imagenet22k', drop_path_rate=0.3)
published = dict(metric='mIoU', value=50.04, multi_scale=51.66, source='microsoft/Swin-Transformer, README.md')
