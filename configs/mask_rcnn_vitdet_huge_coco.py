# The authors let norms and positions of the backbone decay too.
_base_ = [
    './_base_/backbones/vitdet.py',
    './_base_/heads/parts/mask_rcnn_vitdet.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_lsj.py',
    './_base_/runtime/epochs.py',
]
image_scale = (1024, 1024)
backbone = dict(arch='huge', pretrained='vit_huge_mae_imagenet1k', patch_size=16, drop_path_rate=0.5)
optim_wrapper = dict(optimizer=dict(weight_decay=0.1), paramwise_cfg=dict(layer_decay=0.9, head_no_decay=[]))
epochs, steps, auto_scale_lr = (75, [66, 72], {'base_batch_size': 64})
published = dict(metric='bbox_mAP', value=56.7, segm_mAP=50.2, source='facebookresearch/detectron2, projects/ViTDet/README.md')
