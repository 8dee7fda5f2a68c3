_base_ = [
    './_base_/backbones/swin.py',
    './_base_/heads/cascade_mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x_multiscale.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='tiny', pretrained='imagenet1k')
published = dict(metric='bbox_mAP', value=48.1, segm_mAP=41.7, source='SwinTransformer/Swin-Transformer-Object-Detection, README.md')
