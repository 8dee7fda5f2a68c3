_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/mask2former_semantic.py',
    './_base_/datasets/potsdam.py',
    './_base_/schedules/mask2former_beit.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='beit_large', pretrained='vit_beit_large_imagenet22k', image_size=512, drop_path_rate=0.3)
head = dict(encoder_hidden=2048)
test_multiple, max_iters, val_interval, batch_size, auto_scale_lr = 32, 80_000, 8000, 1, dict(base_batch_size=8)
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(341, 341)))
published = dict(metric='mIoU', value=80.0, source='czczup/ViT-Adapter, segmentation/configs/potsdam/README.md')
