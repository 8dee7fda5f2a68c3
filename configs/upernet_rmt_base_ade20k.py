_base_ = [
    './_base_/backbones/rmt.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='base', pretrained='imagenet1k', drop_path_rate=0.4)
published = dict(metric='mIoU', value=52.0, source='qhfan/RMT, segmentation/seg_res.png')
