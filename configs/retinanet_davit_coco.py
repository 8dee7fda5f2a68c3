_base_ = [
    './_base_/backbones/davit.py',
    './_base_/heads/retinanet.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='tiny', pretrained='imagenet1k', drop_path_rate=0.2)
published = dict(metric='bbox_mAP', value=46.5, source='dingmyu/davit, README.md')
