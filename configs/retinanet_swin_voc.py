_base_ = [
    './_base_/backbones/swin.py',
    './_base_/heads/retinanet.py',
    './_base_/datasets/voc_detection.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
