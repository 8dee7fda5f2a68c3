_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/coco_stuff10k.py',
    './_base_/schedules/beit_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='beit_large', pretrained='vit_beit_large_imagenet22k', image_size=512, drop_path_rate=0.3)
test_multiple, max_iters, val_interval = 32, 80_000, 8000
model = dict(decode_head=dict(channels=1024), test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(341, 341)))
optim_wrapper = dict(optimizer=dict(lr=2e-5), paramwise_cfg=dict(layer_decay=0.9))
published = dict(metric='mIoU', value=51.0, multi_scale=51.4, source='czczup/ViT-Adapter, segmentation/README.md')
