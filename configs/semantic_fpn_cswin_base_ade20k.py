_base_ = [
    './_base_/backbones/cswin.py',
    './_base_/heads/semantic_fpn.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/semantic_fpn_80k.py',
    './_base_/runtime/default.py',
]
# The authors published this result without its file; the recipe is that of PVT, drop path as in their UPerNet.
backbone = dict(arch='base', pretrained='imagenet1k', drop_path_rate=0.6)
published = dict(metric='mIoU', value=49.9, source='microsoft/CSWin-Transformer, README.md')
