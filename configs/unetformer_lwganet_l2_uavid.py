_base_ = [
    './_base_/backbones/lwganet.py',
    './_base_/systems/unetformer.py',
    './_base_/datasets/uavid.py',
    './_base_/schedules/adamw_lookahead.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='l2', pretrained='imagenet1k')  # a quarter of the authors' samples are mosaics of four, ours are not
crop_size, batch_size = (768, 768), 6
model = dict(test_cfg=dict(mode='slide', crop_size=(1024, 1024), stride=(1024, 1024)))
max_iters = 28_000  # 70 epochs of the training frames in twelve tiles each
published = dict(metric='mIoU', value=69.1, source='AeroVILab-AHU/LWGANet, README.md')
