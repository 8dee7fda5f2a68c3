_base_ = [
    './_base_/backbones/nat.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='tiny', pretrained='imagenet1k', drop_path_rate=0.2)
published = dict(metric='bbox_mAP', value=47.7, segm_mAP=42.6, source='SHI-Labs/Neighborhood-Attention-Transformer, NAT.md')
