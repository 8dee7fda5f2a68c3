_base_ = [
    './_base_/backbones/vssd.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='micro', pretrained='imagenet1k', drop_path_rate=0.1)
warmup_iters = 1000
published = dict(metric='bbox_mAP', value=47.7, segm_mAP=42.8, source='YuHengsss/VSSD, readme.md')
