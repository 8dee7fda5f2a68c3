_base_ = [
    './_base_/backbones/vit_adapter.py',
    './_base_/heads/parts/htc_plus.py',
    './_base_/datasets/coco_stuff_instance.py',
    './_base_/schedules/vit_adapter_htc.py',
    './_base_/runtime/epochs.py',
]
image_scale, batch_size, _windows, neck_drop_path = (1600, 1400), 1, [14, 14, 14, 14, 14, None] * 4, 0.4
backbone = dict(arch='large', last_map=True, pretrained='vit_large_augreg_imagenet22k_1k_384', image_size=384, drop_path_rate=0.4, windows=_windows)
model = dict(test_cfg=dict(rcnn=dict(max_per_img=300)))
published = dict(metric='bbox_mAP', value=56.6, segm_mAP=49.0, source='czczup/ViT-Adapter, detection/README.md')
