_base_ = [
    './_base_/backbones/hornet.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='tiny', pretrained='imagenet1k_dense', drop_path_rate=0.4)
optim_wrapper = dict(optimizer=dict(lr=1e-4, weight_decay=0.05), paramwise_cfg=dict(layer_decay=0.9, decay_by='stage', layers=6, vector_decay=False))
model = dict(test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)))
published = dict(metric='mIoU', value=48.1, multi_scale=48.9, source='raoyongming/HorNet, semantic_segmentation/README.md')
