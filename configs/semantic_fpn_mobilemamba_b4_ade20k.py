_base_ = [
    './_base_/backbones/mobilemamba.py',
    './_base_/heads/semantic_fpn.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/semantic_fpn_40k.py',
    './_base_/runtime/default.py',
]
backbone, max_iters = dict(arch='b4', pretrained='imagenet1k', drop_path_rate=0.03), 160_000
optim_wrapper = dict(optimizer=dict(lr=1.2e-4, weight_decay=0.05), paramwise_cfg=dict(custom_keys={'scan.norm': dict(decay_mult=0.0), 'head': dict(lr_mult=10.0)}))
_cosine = dict(type='CosineAnnealingLR', by_epoch=False, begin=80_000, end='${max_iters}', T_max=80_000)
param_scheduler = [dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500), _cosine]
published = dict(metric='mIoU', value=42.5, source='lewandofskee/MobileMamba, README.md')
