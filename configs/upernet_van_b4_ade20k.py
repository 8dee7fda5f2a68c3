_base_ = [
    './_base_/backbones/van.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='b4', drop_path_rate=0.4)
# 4 images per GPU as their config has it; a comment in it says 2, and the rate is that of 2.
batch_size, auto_scale_lr = 4, dict(base_batch_size=32)
test_multiple = 32
published = dict(metric='mIoU (multi-scale)', value=52.2, source='Visual-Attention-Network/VAN-Segmentation, README.md')
