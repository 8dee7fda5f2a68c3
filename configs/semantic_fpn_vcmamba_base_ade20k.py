_base_ = [
    './_base_/backbones/vcmamba.py',
    './_base_/heads/semantic_fpn.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/semantic_fpn_40k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='base', pretrained='imagenet1k', drop_path_rate=0.2)
batch_size = 4
model = dict(test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)))
published = dict(metric='mIoU', value=47.1, source='Wertyuui345/VCMamba, README.md')
