# No recipe for dense tasks was published: this is the common one of attention backbones.
_base_ = [
    './_base_/backbones/volo.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(pretrained='imagenet_1k_token_labelling', drop_path_rate=0.1)
