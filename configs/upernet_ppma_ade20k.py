_base_ = [
    './_base_/backbones/ppma.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='tiny', pretrained='imagenet1k', drop_path_rate=0.1)
optim_wrapper = dict(optimizer=dict(weight_decay=0.05))
model = dict(test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)))
published = dict(metric='mIoU', value=48.7, multi_scale=49.1, source='zhongchenzhao/PPMA, README.md')
