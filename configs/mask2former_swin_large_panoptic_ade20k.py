_base_ = [
    './_base_/backbones/swin.py',
    './_base_/heads/mask2former_panoptic.py',
    './_base_/datasets/ade20k_panoptic.py',
    './_base_/schedules/mask2former_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='large', pretrained='imagenet22k_384', drop_path_rate=0.3)
head = dict(num_queries=200)
published = dict(metric='PQ', value=48.1, segm_mAP=34.2, mIoU=54.5, source='facebookresearch/Mask2Former, MODEL_ZOO.md')
