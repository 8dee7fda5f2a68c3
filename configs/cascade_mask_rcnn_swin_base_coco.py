_base_ = [
    './_base_/backbones/swin.py',
    './_base_/heads/cascade_mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='base', pretrained='imagenet1k', drop_path_rate=0.3)
published = dict(metric='bbox_mAP', value=51.9, segm_mAP=45.0, source='SwinTransformer/Swin-Transformer-Object-Detection, README.md')
