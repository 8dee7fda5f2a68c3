# The authors start from weights of ImageNet-1K, which they have not published.
_base_ = [
    './_base_/backbones/fan.py',
    './_base_/heads/cascade_mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='large_hybrid', drop_path_rate=0.3, feat_downsample=True)
batch_size, auto_scale_lr = 1, dict(base_batch_size=32)
published = dict(metric='bbox_mAP', value=55.1, source='NVlabs/FAN, README.md')
