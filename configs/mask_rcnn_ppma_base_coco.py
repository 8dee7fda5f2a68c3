_base_ = [
    './_base_/backbones/ppma.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='base', pretrained='imagenet1k', drop_path_rate=0.4)
published = dict(metric='bbox_mAP', value=52.6, segm_mAP=46.3, source='zhongchenzhao/PPMA, README.md')
