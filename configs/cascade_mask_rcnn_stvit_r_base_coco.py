_base_ = [
    './_base_/backbones/stvit_r.py',
    './_base_/heads/cascade_mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='swin_base', pretrained='imagenet1k', drop_path_rate=0.3)
published = dict(metric='bbox_mAP', value=52.2, segm_mAP=45.2, source='changsn/STViT-R-Object-Detection, README.md')
