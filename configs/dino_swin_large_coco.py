_base_ = [
    './_base_/backbones/swin.py',
    './_base_/heads/dino.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/detr_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='large', pretrained='imagenet22k_384', drop_path_rate=0.2)
feature_levels = 5
train_dataloader = dict(dataset=dict(filter_cfg=dict(filter_empty_gt=False)))
published = dict(metric='bbox_mAP', value=58.4, source='open-mmlab/mmdetection, configs/dino/metafile.yml')
