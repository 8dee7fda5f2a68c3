_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='tiny', pretrained='vit_tiny_augreg_imagenet22k_1k', drop_path_rate=0.1)
test_multiple = 32
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(341, 341)))
optim_wrapper = dict(optimizer=dict(lr=1.2e-4), paramwise_cfg=dict(layer_decay=0.95, vector_decay=False))
published = dict(metric='mIoU', value=43.9, multi_scale=44.8, source='czczup/ViT-Adapter, segmentation/README.md')
