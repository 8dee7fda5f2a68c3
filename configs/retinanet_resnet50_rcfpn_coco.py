_base_ = [
    './_base_/backbones/parts/resnet_detection.py',
    './_base_/heads/retinanet.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/sgd_1x.py',
    './_base_/runtime/epochs.py',
]
_norm = dict(type='BN', requires_grad=True)
_strides = dict(in_strides='${strides}', out_strides='${pyramid_strides}')
model = dict(neck=dict(_delete_=True, type='denseformer.RCFPN', in_channels='${channels}', norm_cfg=_norm, **_strides))
batch_size = 4
published = dict(metric='bbox_mAP', value=40.2, source='TempleX98/RCNet, README.md')
