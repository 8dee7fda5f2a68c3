_base_ = [
    './_base_/backbones/parts/resnet_vd.py',
    './_base_/heads/parts/rtdetr_multiscale.py',
    './_base_/datasets/coco_detection_squares.py',
    './_base_/schedules/rtdetr_6x.py',
    './_base_/runtime/epochs.py',
]
batch_size = 4
published = dict(metric='bbox_mAP', value=53.1, source='lyuwenyu/RT-DETR, README.md')
