_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='small', pretrained='vit_small_deit_imagenet1k', drop_path_rate=0.2)
test_multiple = 32
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(341, 341)))
optim_wrapper = dict(optimizer=dict(lr=6e-5), paramwise_cfg=dict(layer_decay=0.95, vector_decay=False, decay_everything=True))
published = dict(metric='mIoU', value=46.2, multi_scale=47.1, source='czczup/ViT-Adapter, segmentation/README.md')
