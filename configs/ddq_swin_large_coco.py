_base_ = [
    './_base_/backbones/swin.py',
    './_base_/heads/ddq.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/ddq_30e.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='large', pretrained='imagenet22k_384', out_indices=(1, 2, 3), drop_path_rate=0.2)
train_dataloader = dict(dataset=dict(filter_cfg=dict(filter_empty_gt=False)))
published = dict(metric='bbox_mAP', value=58.7, source='open-mmlab/mmdetection, configs/ddq/metafile.yml')
