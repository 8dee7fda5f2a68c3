_base_ = [
    './_base_/backbones/swin.py',
    './_base_/heads/mask2former_panoptic.py',
    './_base_/datasets/cityscapes_panoptic.py',
    './_base_/schedules/mask2former_90k.py',
    './_base_/runtime/default.py',
]
backbone = dict(pretrained='imagenet1k', drop_path_rate=0.3)
published = dict(metric='PQ', value=63.9, segm_mAP=39.1, mIoU=80.5, source='facebookresearch/Mask2Former, MODEL_ZOO.md')
