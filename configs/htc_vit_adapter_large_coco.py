_base_ = [
    './_base_/backbones/parts/vit_adapter_augreg.py',
    './_base_/heads/parts/htc_plus.py',
    './_base_/datasets/coco_stuff_instance.py',
    './_base_/schedules/vit_adapter_htc.py',
    './_base_/runtime/epochs.py',
]
image_scale, batch_size, neck_drop_path = (1600, 1400), 1, 0.4
model = dict(test_cfg=dict(rcnn=dict(max_per_img=300)))
published = dict(metric='bbox_mAP', value=56.6, segm_mAP=49.0, source='czczup/ViT-Adapter, detection/README.md')
