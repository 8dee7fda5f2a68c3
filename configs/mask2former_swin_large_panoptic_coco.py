_base_ = [
    './_base_/backbones/swin.py',
    './_base_/heads/mask2former_panoptic.py',
    './_base_/datasets/coco_panoptic.py',
    './_base_/schedules/mask2former_100e.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='large', pretrained='imagenet22k_384', drop_path_rate=0.3)
head = dict(num_queries=200)
published = dict(metric='PQ', value=57.8, segm_mAP=48.6, mIoU=67.4, source='facebookresearch/Mask2Former, MODEL_ZOO.md')
