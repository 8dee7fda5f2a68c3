_base_ = [
    './_base_/backbones/stvit_r.py',
    './_base_/heads/cascade_mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='swin_small', pretrained='imagenet1k', drop_path_rate=0.2)
published = dict(metric='bbox_mAP', value=51.8, segm_mAP=44.7, source='changsn/STViT-R-Object-Detection, README.md')
