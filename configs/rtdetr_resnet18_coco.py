_base_ = [
    './_base_/backbones/parts/resnet_vd_small.py',
    './_base_/heads/parts/rtdetr_multiscale.py',
    './_base_/datasets/coco_detection_squares.py',
    './_base_/schedules/rtdetr_6x.py',
    './_base_/runtime/epochs.py',
]
decoder_layers, batch_size = 3, 4
model = dict(neck=dict(expansion=0.5))
published = dict(metric='bbox_mAP', value=46.5, source='lyuwenyu/RT-DETR, README.md')
