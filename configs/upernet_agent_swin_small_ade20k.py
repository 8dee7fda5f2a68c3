_base_ = [
    './_base_/backbones/agent_swin.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='small', pretrained='imagenet1k', drop_path_rate=0.3)
published = dict(metric='mIoU', value=48.08, source='LeapLabTHU/Agent-Attention, downstream/segmentation/README.md')
