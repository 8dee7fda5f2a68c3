_base_ = [
    './_base_/backbones/ppma.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='small', pretrained='imagenet1k', drop_path_rate=0.15)
published = dict(metric='bbox_mAP', value=49.2, segm_mAP=43.8, source='zhongchenzhao/PPMA, README.md')
