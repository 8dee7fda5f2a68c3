_base_ = [
    './_base_/backbones/parts/resnet_vd_small.py',
    './_base_/heads/parts/rtdetr_multiscale.py',
    './_base_/datasets/coco_detection_squares.py',
    './_base_/schedules/rtdetr_6x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(depth=34, init_cfg=dict(checkpoint='https://github.com/lyuwenyu/storage/releases/download/v0.1/ResNet34_vd_pretrained_from_paddle.pth'))
decoder_layers, batch_size = 4, 4
model = dict(neck=dict(expansion=0.5))
published = dict(metric='bbox_mAP', value=48.9, source='lyuwenyu/RT-DETR, README.md')
