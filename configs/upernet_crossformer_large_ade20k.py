_base_ = [
    './_base_/backbones/crossformer.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='large', pretrained='imagenet1k', drop_path_rate=0.5)
test_multiple = 32
published = dict(metric='mIoU', value=50.4, multi_scale=51.4, source='cheerss/CrossFormer, README.md')
