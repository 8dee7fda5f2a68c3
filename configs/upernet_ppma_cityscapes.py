_base_ = [
    './_base_/backbones/ppma.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/cityscapes.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
crop_size, train_dataloader = (1024, 1024), dict(batch_size=1)
backbone = dict(arch='tiny', pretrained='imagenet1k', drop_path_rate=0.1)
optim_wrapper = dict(optimizer=dict(weight_decay=0.05))
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(768, 768)))
published = dict(metric='mIoU', value=82.7, multi_scale=83.5, source='zhongchenzhao/PPMA, README.md')
