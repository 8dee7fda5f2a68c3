_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/beit_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='uni_perceiver_large', pretrained='vit_adapter_uni_perceiver_large', drop_path_rate=0.4)
test_multiple = 32
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(341, 341)))
optim_wrapper = dict(optimizer=dict(lr=6e-5), paramwise_cfg=dict(layer_decay=0.8))
published = dict(metric='mIoU', value=55.0, multi_scale=55.4, source='czczup/ViT-Adapter, segmentation/README.md')
