_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/mask2former_semantic.py',
    './_base_/datasets/coco_stuff10k.py',
    './_base_/schedules/mask2former_beit.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='beit_large', pretrained='vit_beit_large_imagenet22k', image_size=512, drop_path_rate=0.3)
test_multiple, max_iters, val_interval = 32, 40_000, 4000
head = dict(width=1024, num_heads=32, decoder_hidden=4096)
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(341, 341)))
published = dict(metric='mIoU', value=53.2, multi_scale=54.2, source='czczup/ViT-Adapter, segmentation/README.md')
