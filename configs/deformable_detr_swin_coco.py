_base_ = [
    './_base_/backbones/swin.py',
    './_base_/heads/deformable_detr.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/deformable_detr_50e.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='tiny', pretrained='imagenet1k', drop_path_rate=0.2)
train_dataloader = dict(dataset=dict(filter_cfg=dict(filter_empty_gt=False)))
