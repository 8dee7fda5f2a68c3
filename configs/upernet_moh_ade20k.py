# No dense result was published. This is TransNeXt's recipe, with the stochastic depth that MoH was trained with.
_base_ = [
    './_base_/backbones/moh.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(pretrained='imagenet1k', drop_path_rate=0.45)
optim_wrapper = dict(optimizer=dict(weight_decay=0.05))
