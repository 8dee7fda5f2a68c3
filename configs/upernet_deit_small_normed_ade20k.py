_base_ = [
    './_base_/backbones/vit.py',
    './_base_/necks/multi_level.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='small', pretrained='deit_imagenet1k', image_size=512, antialias=False, drop_path_rate=0.1, norm_outputs='last')
model = dict(auxiliary_head=dict(in_index=-1))
published = dict(metric='mIoU', value=43.52, multi_scale=45.01, source='open-mmlab/mmsegmentation, configs/vit/metafile.yaml')
