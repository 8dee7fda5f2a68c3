_base_ = [
    './_base_/backbones/swin.py',
    './_base_/heads/mask2former_panoptic.py',
    './_base_/datasets/coco_panoptic.py',
    './_base_/schedules/mask2former_50e.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(pretrained='imagenet1k', drop_path_rate=0.3)
published = dict(metric='PQ', value=53.2, segm_mAP=43.3, mIoU=63.2, source='facebookresearch/Mask2Former, MODEL_ZOO.md')
