_base_ = [
    './_base_/backbones/swin.py',
    './_base_/heads/mask2former_panoptic.py',
    './_base_/datasets/cityscapes_panoptic.py',
    './_base_/schedules/mask2former_90k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='base', pretrained='imagenet22k_384', window_size=12, drop_path_rate=0.3)
published = dict(metric='PQ', value=66.1, segm_mAP=42.8, mIoU=82.7, source='facebookresearch/Mask2Former, MODEL_ZOO.md')
