_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/mask2former_panoptic.py',
    './_base_/datasets/coco_panoptic.py',
    './_base_/schedules/mask2former_beit_3x.py',
    './_base_/runtime/epochs.py',
]
_windows, batch_size = [14, 14, 14, 14, 14, 56] * 4, 1
backbone = dict(arch='beit_large', last_map=True, pretrained='vit_beit_large_v2_imagenet22k', drop_path_rate=0.4, windows=_windows)
published = dict(metric='PQ', value=58.4, bbox_mAP=52.9, segm_mAP=48.9, source='czczup/ViT-Adapter, detection/configs/mask2former/README.md')
