# mmsegmentation's recipe, whose head has 256 channels; the authors' has 768 from B2 on.
_base_ = [
    './_base_/backbones/mit.py',
    './_base_/heads/segformer.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='b5', pretrained='imagenet1k_mmseg', drop_path_rate=0.1)
optim_wrapper = dict(optimizer=dict(lr=6e-4), paramwise_cfg=dict(backbone_lr_mult=0.1))
published = dict(metric='mIoU', value=49.13, multi_scale=50.22, source='open-mmlab/mmsegmentation, configs/segformer/metafile.yaml')
