_base_ = [
    './_base_/backbones/swin.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='small', pretrained='imagenet1k', drop_path_rate=0.2)
published = dict(metric='bbox_mAP', value=48.5, segm_mAP=43.3, source='SwinTransformer/Swin-Transformer-Object-Detection, README.md')
