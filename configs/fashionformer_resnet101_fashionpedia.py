_base_ = [
    './_base_/backbones/parts/resnet_detection.py',
    './_base_/systems/fashionformer.py',
    './_base_/datasets/fashionpedia.py',
    './_base_/schedules/fashionformer_3x.py',
    './_base_/runtime/epochs.py',
]
# The authors train all of BatchNorm, across GPUs, and state no result in their repository.
_weights = dict(checkpoint='torchvision://resnet101')
backbone = dict(depth=101, norm_cfg=dict(type='SyncBN'), norm_eval=False, init_cfg=_weights)
epochs, steps = 96, [64, 88]
