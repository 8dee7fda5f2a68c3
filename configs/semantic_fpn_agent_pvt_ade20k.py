_base_ = [
    './_base_/backbones/agent_pvt.py',
    './_base_/heads/semantic_fpn.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/semantic_fpn_40k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='tiny', pretrained='imagenet1k', drop_path_rate=0.1)
auto_scale_lr = dict(base_batch_size=16)
published = dict(metric='mIoU', value=40.18, source='LeapLabTHU/Agent-Attention, downstream/segmentation/README.md')
