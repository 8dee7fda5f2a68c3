_base_ = [
    './_base_/backbones/fan.py',
    './_base_/heads/segformer.py',
    './_base_/datasets/cityscapes.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='base_hybrid', pretrained='imagenet1k')
crop_size, batch_size, auto_scale_lr = (1024, 1024), 1, dict(base_batch_size=8)
model = dict(decode_head=dict(type='denseformer.SegFormerHead', channels=768), test_cfg=dict(mode='slide', crop_size=(1024, 1024), stride=(768, 768)))
optim_wrapper = dict(optimizer=dict(lr=6e-4), paramwise_cfg=dict(backbone_lr_mult=0.1))
published = dict(metric='mIoU', value=82.2, source='NVlabs/FAN, README.md')
