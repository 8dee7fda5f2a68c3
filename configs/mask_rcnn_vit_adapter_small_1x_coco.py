_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/vit_adapter_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='small', last_map=True, pretrained='vit_small_deit_imagenet1k', windows=[14, 14, None] * 4, drop_path_rate=0.2)
published = dict(metric='bbox_mAP', value=44.7, segm_mAP=39.9, source='czczup/ViT-Adapter, detection/configs/mask_rcnn/README.md')
