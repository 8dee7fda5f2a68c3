_base_ = [
    './_base_/backbones/vssd.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='tiny', pretrained='imagenet1k', drop_path_rate=0.2)
warmup_iters = 1000
published = dict(metric='bbox_mAP', value=46.9, segm_mAP=42.6, source='YuHengsss/VSSD, readme.md')
