_base_ = [
    './_base_/backbones/nat.py',
    './_base_/heads/cascade_mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='small', pretrained='imagenet1k', drop_path_rate=0.3)
published = dict(metric='bbox_mAP', value=52.0, segm_mAP=44.9, source='SHI-Labs/Neighborhood-Attention-Transformer, NAT.md')
