_base_ = [
    './_base_/backbones/dinat.py',
    './_base_/heads/cascade_mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='large', pretrained='imagenet22k', dilations='coco', drop_path_rate=0.6)
optim_wrapper = dict(optimizer=dict(lr=7.5e-5))
published = dict(metric='bbox_mAP', value=55.3, segm_mAP=47.8, source='SHI-Labs/Neighborhood-Attention-Transformer, DiNAT.md')
