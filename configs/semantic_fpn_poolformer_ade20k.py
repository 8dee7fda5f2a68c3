_base_ = [
    './_base_/backbones/poolformer.py',
    './_base_/heads/semantic_fpn.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/semantic_fpn_40k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='s12', pretrained='imagenet1k')
batch_size = 4
test_multiple = 32
published = dict(metric='mIoU', value=37.2, source='sail-sg/poolformer, segmentation/README.md')
