_base_ = [
    './_base_/backbones/fcaformer.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='l2', pretrained='imagenet1k', layer_scale=1.0, drop_path_rate=0.1)
optim_wrapper = dict(optimizer=dict(lr=1e-4), paramwise_cfg=dict(layer_decay=0.9, decay_by='stage', layers=6, vector_decay=False))
model = dict(test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)))
published = dict(metric='mIoU (multi-scale)', value=47.6, source='hkzhang-git/FcaFormer, README.md')
