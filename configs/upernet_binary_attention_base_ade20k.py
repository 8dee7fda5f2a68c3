# The recipe was not published: blocks, neck and schedule are the common ones of plain transformers.
_base_ = [
    './_base_/backbones/binary_attention.py',
    './_base_/necks/deconv_pyramid.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='base', pretrained='imagenet1k', drop_path_rate=0.1)
published = dict(metric='mIoU', value=47.76, multi_scale=48.37, source='EdwardChasel/BinaryAttention, assets/segmentation.png')
