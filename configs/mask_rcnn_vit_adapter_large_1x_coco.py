_base_ = [
    './_base_/backbones/parts/vit_adapter_augreg.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/vit_adapter_1x.py',
    './_base_/runtime/epochs.py',
]
image_mean = image_std = [127.5] * 3
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.8))
published = dict(metric='bbox_mAP', value=48.7, segm_mAP=43.3, source='czczup/ViT-Adapter, detection/configs/mask_rcnn/README.md')
