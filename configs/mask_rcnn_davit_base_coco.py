_base_ = [
    './_base_/backbones/davit.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
# Drop path rates of the larger variants are not published; this is the tiny one's.
backbone = dict(arch='base', pretrained='imagenet1k', drop_path_rate=0.2)
published = dict(metric='bbox_mAP', value=49.9, segm_mAP=44.6, source='dingmyu/davit, README.md')
