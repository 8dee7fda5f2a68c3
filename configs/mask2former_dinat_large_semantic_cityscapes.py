_base_ = [
    './_base_/backbones/dinat.py',
    './_base_/heads/mask2former_semantic.py',
    './_base_/datasets/cityscapes.py',
    './_base_/schedules/mask2former_90k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='large', pretrained='imagenet22k_dinat_large_11x11', kernel_size=11, dilations='mask2former', drop_path_rate=0.3)
cat_max_ratio = 1.0
published = dict(metric='mIoU (multi-scale)', value=84.5, source='SHI-Labs/Neighborhood-Attention-Transformer, DiNAT.md')
