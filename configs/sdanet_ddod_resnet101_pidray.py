_base_ = [
    './_base_/backbones/parts/resnet_detection.py',
    './_base_/systems/sdanet_ddod.py',
    './_base_/datasets/pidray.py',
    './_base_/schedules/sgd_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(depth=101, init_cfg=dict(checkpoint='torchvision://resnet101'))
batch_size, epochs, steps = 4, 24, [16, 22]
with_mask, scored, key_metric = False, ['bbox'], 'bbox_mAP'
