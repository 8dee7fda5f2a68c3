_base_ = [
    './_base_/backbones/parts/resnet_detection.py',
    './_base_/systems/rcnet.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/sgd_1x.py',
    './_base_/runtime/epochs.py',
]
batch_size = 4
published = dict(metric='bbox_mAP', value=43.1, source='TempleX98/RCNet, README.md')
