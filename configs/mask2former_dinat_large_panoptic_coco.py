_base_ = [
    './_base_/backbones/dinat.py',
    './_base_/heads/mask2former_panoptic.py',
    './_base_/datasets/coco_panoptic.py',
    './_base_/schedules/mask2former_100e.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='large', pretrained='imagenet22k_dinat_large_11x11', kernel_size=11, dilations='mask2former', drop_path_rate=0.3)
head = dict(num_queries=200)
published = dict(metric='PQ', value=58.5, segm_mAP=49.2, mIoU=68.3, source='SHI-Labs/Neighborhood-Attention-Transformer, DiNAT.md')
