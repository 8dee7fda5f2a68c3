# No recipe for dense tasks was published: this is the common one of attention backbones, on three maps.
_base_ = [
    './_base_/backbones/cvt.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(pretrained='imagenet1k')
model = dict(decode_head=dict(in_index=(0, 1, 2)))
