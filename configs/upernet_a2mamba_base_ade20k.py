# The authors publish no configs, and of this result that it lies 2.5 above CAFormer-S36's.
_base_ = [
    './_base_/backbones/a2mamba.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='base', drop_path_rate=0.4, pretrained='imagenet1k')
