_base_ = [
    './_base_/backbones/ffnet.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='3', pretrained='imagenet1k', drop_path_rate=0.3)
optim_wrapper = dict(optimizer=dict(lr=1e-4, weight_decay=0.05), paramwise_cfg=dict(layer_decay=0.9, decay_by='group', layers=12, vector_decay=False))
test_multiple = 32
published = dict(metric='mIoU', value=49.6, multi_scale=50.2, source='ysj9909/FFNet, segmentation/README.md')
