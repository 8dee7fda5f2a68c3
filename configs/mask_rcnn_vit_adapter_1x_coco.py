_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/vit_adapter_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='tiny', last_map=True, pretrained='vit_tiny_deit_imagenet1k', windows=[14, 14, None] * 4, drop_path_rate=0.1)
optim_wrapper = dict(optimizer=dict(lr=2e-4, weight_decay=0.01))
published = dict(metric='bbox_mAP', value=41.1, segm_mAP=37.5, source='czczup/ViT-Adapter, detection/configs/mask_rcnn/README.md')
