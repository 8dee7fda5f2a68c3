_base_ = [
    './_base_/backbones/crossformer.py',
    './_base_/heads/semantic_fpn.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/semantic_fpn_80k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='small', pretrained='imagenet1k', drop_path_rate=0.2)
test_multiple = 32
published = dict(metric='mIoU', value=46.4, source='cheerss/CrossFormer, README.md')
