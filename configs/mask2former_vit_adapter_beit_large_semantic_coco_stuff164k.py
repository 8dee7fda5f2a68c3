_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/mask2former_semantic.py',
    './_base_/datasets/coco_stuff164k.py',
    './_base_/schedules/mask2former_beit.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='beit_large', pretrained='vit_beit_large_imagenet22k', image_size=896, drop_path_rate=0.3)
image_scale, crop_size, test_multiple, batch_size, max_iters, val_interval = (3584, 896), (896, 896), 32, 1, 80_000, 8000
head = dict(num_queries=200, width=1024, num_heads=32, decoder_hidden=4096)
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(512, 512)))
published = dict(metric='mIoU', value=51.7, multi_scale=52.0, source='czczup/ViT-Adapter, segmentation/README.md')
