_base_ = [
    './_base_/backbones/ffnet.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='4', pretrained='imagenet1k', drop_path_rate=0.3)
optim_wrapper = dict(optimizer=dict(lr=1e-4, weight_decay=0.05), paramwise_cfg=dict(layer_decay=0.9, decay_by='group', layers=12, vector_decay=False))
test_multiple = 32
published = dict(metric='mIoU', value=50.7, multi_scale=51.7, source='ysj9909/FFNet, segmentation/README.md')
