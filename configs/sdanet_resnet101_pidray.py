_base_ = [
    './_base_/backbones/parts/resnet_detection.py',
    './_base_/systems/sdanet.py',
    './_base_/datasets/pidray.py',
    './_base_/schedules/sgd_1x.py',
    './_base_/runtime/epochs.py',
]
# An ordinary schedule, and the box heads of this project's cascade: the README states neither.
backbone = dict(depth=101, init_cfg=dict(checkpoint='torchvision://resnet101'))
