_base_ = [
    './_base_/backbones/swin.py',
    './_base_/heads/mask2former_panoptic.py',
    './_base_/datasets/cityscapes_panoptic.py',
    './_base_/schedules/mask2former_90k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='small', pretrained='imagenet1k', drop_path_rate=0.3)
published = dict(metric='PQ', value=64.8, segm_mAP=40.7, mIoU=81.8, source='facebookresearch/Mask2Former, MODEL_ZOO.md')
