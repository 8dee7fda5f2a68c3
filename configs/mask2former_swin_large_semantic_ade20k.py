_base_ = [
    './_base_/backbones/swin.py',
    './_base_/heads/mask2former_semantic.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/mask2former_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='large', pretrained='imagenet22k_384', drop_path_rate=0.3)
image_scale, crop_size = (2560, 640), (640, 640)
cat_max_ratio = 1.0
published = dict(metric='mIoU', value=56.1, multi_scale=57.3, source='facebookresearch/Mask2Former, MODEL_ZOO.md')
