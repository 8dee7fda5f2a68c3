_base_ = [
    './_base_/backbones/hornet.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='small_gf', pretrained='imagenet1k_dense', drop_path_rate=0.3)
optim_wrapper = dict(optimizer=dict(lr=1e-4, weight_decay=0.05), paramwise_cfg=dict(layer_decay=0.9, decay_by='stage', layers=12, vector_decay=False), clip_grad=dict(max_norm=1.0))
model = dict(test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)))
published = dict(metric='mIoU', value=50.0, multi_scale=50.5, source='raoyongming/HorNet, semantic_segmentation/README.md')
