_base_ = [
    './_base_/backbones/vitdet.py',
    './_base_/heads/parts/cascade_mask_rcnn_vitdet.py',
    './_base_/datasets/coco_instance_square.py',
    './_base_/schedules/vitdet_100e.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='base', pretrained='vit_base_mae_imagenet1k', drop_path_rate=0.1)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.7))
published = dict(metric='bbox_mAP', value=54.0, segm_mAP=46.7, source='facebookresearch/detectron2, projects/ViTDet/README.md')
