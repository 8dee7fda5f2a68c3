_base_ = [
    './_base_/backbones/nat.py',
    './_base_/heads/cascade_mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='base', pretrained='imagenet1k', drop_path_rate=0.5)
published = dict(metric='bbox_mAP', value=52.3, segm_mAP=45.1, source='SHI-Labs/Neighborhood-Attention-Transformer, NAT.md')
