_base_ = [
    './_base_/backbones/convnext.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
image_scale, crop_size = (2560, 640), (640, 640)
backbone = dict(arch='xlarge', pretrained='imagenet22k', drop_path_rate=0.4)
optim_wrapper = dict(optimizer=dict(lr=8e-5, weight_decay=0.05), paramwise_cfg=dict(layer_decay=0.9, decay_by='stage', layers=12, vector_decay=False))
model = dict(test_cfg=dict(mode='slide', crop_size=(640, 640), stride=(426, 426)))
published = dict(metric='mIoU', value=53.6, multi_scale=54.0, source='facebookresearch/ConvNeXt, semantic_segmentation/README.md')
