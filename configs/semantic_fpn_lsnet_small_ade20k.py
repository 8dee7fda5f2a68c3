_base_ = [
    './_base_/backbones/lsnet.py',
    './_base_/heads/semantic_fpn.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/semantic_fpn_40k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='small', pretrained='imagenet1k', norm_eval=True)
batch_size = 4
param_scheduler = [dict(type='PolyLR', eta_min=1e-6, power=0.9, by_epoch=False, begin=0, end='${max_iters}')]
published = dict(metric='mIoU', value=41.6, source='jameslahm/lsnet, segmentation/README.md')
