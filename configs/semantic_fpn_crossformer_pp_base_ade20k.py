_base_ = [
    './_base_/backbones/crossformer.py',
    './_base_/heads/semantic_fpn.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/semantic_fpn_80k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='pp_base', pretrained='imagenet1k', drop_path_rate=0.3)
test_multiple = 32
published = dict(metric='mIoU', value=48.6, source='cheerss/CrossFormer, README.md')
