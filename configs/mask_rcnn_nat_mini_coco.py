_base_ = [
    './_base_/backbones/nat.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='mini', pretrained='imagenet1k', drop_path_rate=0.2)
published = dict(metric='bbox_mAP', value=46.5, segm_mAP=41.7, source='SHI-Labs/Neighborhood-Attention-Transformer, NAT.md')
