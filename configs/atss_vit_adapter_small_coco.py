_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/atss.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/vit_adapter_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='small', last_map=True, pretrained='vit_small_deit_imagenet1k', windows=[14, 14, None] * 4, drop_path_rate=0.2)
published = dict(metric='bbox_mAP', value=49.6, source='czczup/ViT-Adapter, detection/README.md')
