_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/vit_adapter_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='base', last_map=True, pretrained='vit_base_deit_imagenet1k', windows=[14, 14, None] * 4, drop_path_rate=0.3)
published = dict(metric='bbox_mAP', value=47.0, segm_mAP=41.8, source='czczup/ViT-Adapter, detection/configs/mask_rcnn/README.md')
