_base_ = [
    './_base_/backbones/swin.py',
    './_base_/heads/mask2former_panoptic.py',
    './_base_/datasets/coco_panoptic.py',
    './_base_/schedules/mask2former_50e.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='base', pretrained='imagenet1k_384', window_size=12, drop_path_rate=0.3)
published = dict(metric='PQ', value=55.1, segm_mAP=45.2, mIoU=65.1, source='facebookresearch/Mask2Former, MODEL_ZOO.md')
