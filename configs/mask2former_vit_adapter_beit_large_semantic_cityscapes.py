# The published result starts from the network trained on Mapillary: --load-from its checkpoint.
_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/mask2former_semantic.py',
    './_base_/datasets/cityscapes.py',
    './_base_/schedules/mask2former_beit.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='beit_large', pretrained='vit_beit_large_imagenet22k', image_size=896, drop_path_rate=0.3)
crop_size, batch_size, max_iters, val_interval = (896, 896), 1, 80_000, 8000
head = dict(width=1024, num_heads=32, decoder_hidden=4096)
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(512, 512)))
published = dict(metric='mIoU', value=84.9, multi_scale=85.8, source='czczup/ViT-Adapter, segmentation/README.md')
