_base_ = [
    './_base_/backbones/transnext.py',
    './_base_/heads/mask2former_semantic.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/mask2former_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='tiny', pretrained='imagenet1k', drop_path_rate=0.3)
optim_wrapper = dict(paramwise_cfg=dict(vector_decay=False))
published = dict(metric='mIoU', value=53.4, source='DaiShiResearch/TransNeXt, segmentation/mask2former/README.md')
