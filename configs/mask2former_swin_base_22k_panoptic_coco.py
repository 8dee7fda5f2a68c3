_base_ = [
    './_base_/backbones/swin.py',
    './_base_/heads/mask2former_panoptic.py',
    './_base_/datasets/coco_panoptic.py',
    './_base_/schedules/mask2former_50e.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='base', pretrained='imagenet22k_384', window_size=12, drop_path_rate=0.3)
published = dict(metric='PQ', value=56.4, segm_mAP=46.3, mIoU=67.1, source='facebookresearch/Mask2Former, MODEL_ZOO.md')
