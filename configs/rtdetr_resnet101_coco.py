_base_ = [
    './_base_/backbones/parts/resnet_vd.py',
    './_base_/heads/parts/rtdetr_multiscale.py',
    './_base_/datasets/coco_detection_squares.py',
    './_base_/schedules/rtdetr_6x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(depth=101, init_cfg=dict(checkpoint='https://github.com/lyuwenyu/storage/releases/download/v0.1/ResNet101_vd_ssld_pretrained_from_paddle.pth'))
pyramid, batch_size = 384, 4
model = dict(neck=dict(feedforward=2048))
optim_wrapper = dict(paramwise_cfg=dict(backbone_lr_mult=0.01))
published = dict(metric='bbox_mAP', value=54.3, source='lyuwenyu/RT-DETR, README.md')
