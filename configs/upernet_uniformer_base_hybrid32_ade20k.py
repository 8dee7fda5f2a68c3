_base_ = [
    './_base_/backbones/uniformer.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
# The authors scored the weights that upernet_uniformer_base_ade20k trains with these windows.
backbone = dict(arch='base', pretrained='imagenet1k', windows='hybrid32', drop_path_rate=0.4)
published = dict(metric='mIoU', value=49.5, multi_scale=50.7, source='Sense-X/UniFormer, semantic_segmentation/README.md')
