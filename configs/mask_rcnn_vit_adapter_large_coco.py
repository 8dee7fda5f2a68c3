_base_ = [
    './_base_/backbones/parts/vit_adapter_augreg.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/vit_adapter_3x.py',
    './_base_/runtime/epochs.py',
]
image_mean = image_std = [127.5] * 3
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.8))
published = dict(metric='bbox_mAP', value=52.1, segm_mAP=46.0, source='czczup/ViT-Adapter, detection/README.md')
