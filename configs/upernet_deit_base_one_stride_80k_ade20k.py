_base_ = [
    './_base_/backbones/vit.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='base', pretrained='deit_imagenet1k', image_size=512, antialias=False, drop_path_rate=0.1)
max_iters, val_interval = 80_000, 8000
model = dict(auxiliary_head=dict(in_index=-1))
published = dict(metric='mIoU', value=45.24, multi_scale=46.73, source='open-mmlab/mmsegmentation, configs/vit/metafile.yaml')
