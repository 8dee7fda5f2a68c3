# The paper gives crop, rate and weight decay; the neck is that of BEiT, the rest of the recipe the usual one.
_base_ = [
    './_base_/backbones/illama.py',
    './_base_/necks/deconv_pyramid.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='tiny', pretrained='imagenet1k', image_size=512, drop_path_rate=0.0)
published = dict(metric='mIoU (multi-scale)', value=37.7, source='iLLaMA paper, https://arxiv.org/abs/2404.06773, table 10')
