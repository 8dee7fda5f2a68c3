_base_ = [
    './_base_/backbones/dinat.py',
    './_base_/heads/cascade_mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='tiny', pretrained='imagenet1k', dilations='coco', drop_path_rate=0.3)
published = dict(metric='bbox_mAP', value=52.2, segm_mAP=45.1, source='SHI-Labs/Neighborhood-Attention-Transformer, DiNAT.md')
