_base_ = [
    './_base_/backbones/parts/resnet_detection.py',
    './_base_/systems/sdanet.py',
    './_base_/datasets/pidray.py',
    './_base_/schedules/sgd_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(depth=101, init_cfg=dict(checkpoint='torchvision://resnet101'))
batch_size = 4
optim_wrapper = dict(optimizer=dict(lr=0.02))
