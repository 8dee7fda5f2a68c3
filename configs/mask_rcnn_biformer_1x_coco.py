_base_ = [
    './_base_/backbones/biformer.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='small', pretrained='imagenet1k', windows_per_side=16, norm_eval=True, drop_path_rate=0.2)
published = dict(metric='bbox_mAP', value=47.8, segm_mAP=43.2, source='rayleizhu/BiFormer, object_detection/README.md')
