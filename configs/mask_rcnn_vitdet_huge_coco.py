_base_ = [
    './_base_/backbones/vitdet.py',
    './_base_/heads/parts/mask_rcnn_vitdet.py',
    './_base_/datasets/coco_instance_square.py',
    './_base_/schedules/vitdet_100e.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='huge', pretrained='vit_huge_mae_imagenet1k', patch_size=16, drop_path_rate=0.5)
epochs, steps, optim_wrapper = 75, [67, 72], dict(paramwise_cfg=dict(layer_decay=0.9, decay_everything=True))
published = dict(metric='bbox_mAP', value=56.7, segm_mAP=50.2, source='facebookresearch/detectron2, projects/ViTDet/README.md')
