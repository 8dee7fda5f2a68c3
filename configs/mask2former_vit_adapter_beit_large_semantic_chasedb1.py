_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/mask2former_semantic.py',
    './_base_/datasets/chasedb1.py',
    './_base_/schedules/mask2former_beit.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='beit_large', pretrained='vit_beit_large_imagenet22k', image_size=128, drop_path_rate=0.3)
head = dict(encoder_hidden=2048)
test_multiple, max_iters, val_interval, batch_size = 32, 40_000, 4000, 4
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(85, 85)))
published = dict(metric='mDice', value=89.4, source='czczup/ViT-Adapter, segmentation/configs/chase_db1/README.md')
