_base_ = [
    './_base_/backbones/crossformer.py',
    './_base_/heads/semantic_fpn.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/semantic_fpn_80k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='large', pretrained='imagenet1k', group_sizes=(14, 14, 7, 7), intervals=(16, 8, 2, 1), drop_path_rate=0.5)
test_multiple = 32
published = dict(metric='mIoU', value=49.1, source='cheerss/CrossFormer, README.md')
