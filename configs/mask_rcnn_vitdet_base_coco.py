_base_ = [
    './_base_/backbones/vitdet.py',
    './_base_/heads/parts/mask_rcnn_vitdet.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_lsj.py',
    './_base_/runtime/epochs.py',
]
image_scale, warmup_iters = (1024, 1024), 250
model = dict(data_preprocessor=dict(pad_size_divisor=1024))
backbone = dict(arch='base', pretrained='vit_base_mae_imagenet1k', drop_path_rate=0.1)
optim_wrapper = dict(optimizer=dict(weight_decay=0.1), paramwise_cfg=dict(layer_decay=0.7))
epochs, steps, auto_scale_lr = (100, [89, 96], {'base_batch_size': 64})
published = dict(metric='bbox_mAP', value=51.6, segm_mAP=45.9, source='facebookresearch/detectron2, projects/ViTDet/README.md')
