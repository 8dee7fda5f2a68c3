_base_ = [
    './_base_/backbones/swin.py',
    './_base_/heads/mask2former_semantic.py',
    './_base_/datasets/cityscapes.py',
    './_base_/schedules/mask2former_90k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='base', pretrained='imagenet22k_384', window_size=12, drop_path_rate=0.3)
cat_max_ratio = 1.0
published = dict(metric='mIoU', value=83.3, multi_scale=84.5, source='facebookresearch/Mask2Former, MODEL_ZOO.md')
