_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/parts/htc_plus.py',
    './_base_/datasets/coco_stuff_instance.py',
    './_base_/schedules/vit_adapter_htc.py',
    './_base_/runtime/epochs.py',
]
image_scale, batch_size, _windows = (1600, 1400), 1, [14, 14, 14, 14, 14, 56] * 4
backbone = dict(arch='beit_large', last_map=True, pretrained='vit_beit_large_v2_imagenet22k', drop_path_rate=0.4, windows=_windows)
published = dict(metric='bbox_mAP', value=58.8, segm_mAP=51.1, source='czczup/ViT-Adapter, detection/README.md')
