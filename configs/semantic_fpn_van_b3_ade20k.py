_base_ = [
    './_base_/backbones/van.py',
    './_base_/heads/semantic_fpn.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/semantic_fpn_40k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='b3', pretrained='imagenet1k', drop_path_rate=0.3)
batch_size = 4
test_multiple = 32
published = dict(metric='mIoU', value=48.1, source='Visual-Attention-Network/VAN-Segmentation, README.md')
