_base_ = [
    './_base_/backbones/ffnet.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='2', pretrained='imagenet1k', drop_path_rate=0.2)
optim_wrapper = dict(optimizer=dict(lr=1e-4, weight_decay=0.05))
test_multiple = 32
published = dict(metric='mIoU', value=47.1, multi_scale=47.8, source='ysj9909/FFNet, segmentation/README.md')
