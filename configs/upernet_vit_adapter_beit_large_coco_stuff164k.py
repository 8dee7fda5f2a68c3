_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/coco_stuff164k.py',
    './_base_/schedules/beit_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='beit_large', pretrained='vit_beit_large_imagenet22k', image_size=640, drop_path_rate=0.3)
image_scale, crop_size, test_multiple, max_iters, val_interval = (2560, 640), (640, 640), 32, 80_000, 8000
model = dict(decode_head=dict(channels=1024), test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(426, 426)))
optim_wrapper = dict(optimizer=dict(lr=2e-5), paramwise_cfg=dict(layer_decay=0.9))
published = dict(metric='mIoU', value=50.5, multi_scale=50.7, source='czczup/ViT-Adapter, segmentation/README.md')
