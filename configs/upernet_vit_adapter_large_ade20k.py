_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/beit_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='large', pretrained='vit_large_augreg_imagenet22k_1k_384', image_size=384, drop_path_rate=0.4)
test_multiple, image_mean, image_std = 32, [127.5] * 3, [127.5] * 3
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(341, 341)))
optim_wrapper = dict(optimizer=dict(lr=2e-5), paramwise_cfg=dict(layer_decay=0.95))
published = dict(metric='mIoU', value=53.4, multi_scale=54.4, source='czczup/ViT-Adapter, segmentation/README.md')
