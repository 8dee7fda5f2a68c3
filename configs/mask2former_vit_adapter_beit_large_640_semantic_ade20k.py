_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/mask2former_semantic.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/mask2former_beit.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='beit_large', pretrained='vit_beit_large_imagenet22k', image_size=640, drop_path_rate=0.3)
image_scale, crop_size, test_multiple = (2048, 640), (640, 640), 32
head = dict(width=1024, num_heads=32, decoder_hidden=4096)
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(426, 426)))
published = dict(metric='mIoU', value=58.3, multi_scale=59.0, source='czczup/ViT-Adapter, segmentation/README.md')
