_base_ = [
    './_base_/systems/p2at.py',
    './_base_/datasets/cityscapes.py',
    './_base_/schedules/sgd_poly.py',
    './_base_/runtime/default.py',
]
# The authors' recipe for Cityscapes is not published; this is BEVANet's.
backbone = dict(type='mmseg.ResNet', depth=34, init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet34'))
channels, strides = (64, 128, 256, 512), (4, 8, 16, 32)
crop_size, batch_size = (1024, 1024), 12
published = dict(metric='mIoU', value=78.7, source='P2AT, arXiv 2310.15025')
