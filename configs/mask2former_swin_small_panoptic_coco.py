_base_ = [
    './_base_/backbones/swin.py',
    './_base_/heads/mask2former_panoptic.py',
    './_base_/datasets/coco_panoptic.py',
    './_base_/schedules/mask2former_50e.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='small', pretrained='imagenet1k', drop_path_rate=0.3)
published = dict(metric='PQ', value=54.6, segm_mAP=44.7, mIoU=64.2, source='facebookresearch/Mask2Former, MODEL_ZOO.md')
