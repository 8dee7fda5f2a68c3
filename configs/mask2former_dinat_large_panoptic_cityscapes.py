_base_ = [
    './_base_/backbones/dinat.py',
    './_base_/heads/mask2former_panoptic.py',
    './_base_/datasets/cityscapes_panoptic.py',
    './_base_/schedules/mask2former_90k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='large', pretrained='imagenet22k_dinat_large_11x11', kernel_size=11, dilations='mask2former', drop_path_rate=0.3)
head = dict(num_queries=200)
published = dict(metric='PQ', value=67.2, segm_mAP=44.5, mIoU=83.4, source='SHI-Labs/Neighborhood-Attention-Transformer, DiNAT.md')
