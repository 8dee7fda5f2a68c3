_base_ = [
    './_base_/backbones/vitdet.py',
    './_base_/heads/parts/cascade_mask_rcnn_vitdet.py',
    './_base_/datasets/coco_instance_square.py',
    './_base_/schedules/vitdet_100e.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='large', pretrained='vit_large_mae_imagenet1k', drop_path_rate=0.4)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.8))
published = dict(metric='bbox_mAP', value=57.6, segm_mAP=50.0, source='facebookresearch/detectron2, projects/ViTDet/README.md')
