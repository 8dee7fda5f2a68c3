_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/mask2former_semantic.py',
    './_base_/datasets/pascal_context59.py',
    './_base_/schedules/mask2former_beit.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='beit_base', pretrained='vit_beit_base_imagenet22k', image_size=480, drop_path_rate=0.2)
test_multiple, max_iters, val_interval = 32, 40_000, 4000
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(320, 320)))
optim_wrapper = dict(optimizer=dict(lr=3e-5), paramwise_cfg=dict(layer_decay=0.95))
published = dict(metric='mIoU', value=64.0, multi_scale=64.4, source='czczup/ViT-Adapter, segmentation/README.md')
