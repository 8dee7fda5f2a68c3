_base_ = [
    './_base_/backbones/rmt.py',
    './_base_/heads/semantic_fpn.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/semantic_fpn_80k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='small', pretrained='imagenet1k', drop_path_rate=0.15)
param_scheduler = [dict(type='PolyLR', eta_min=1e-6, power=0.9, by_epoch=False, begin=0, end='${max_iters}')]
published = dict(metric='mIoU', value=49.4, source='qhfan/RMT, segmentation/seg_res.png')
