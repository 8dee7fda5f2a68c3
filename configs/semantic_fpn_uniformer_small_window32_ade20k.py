_base_ = [
    './_base_/backbones/uniformer.py',
    './_base_/heads/semantic_fpn.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/semantic_fpn_80k_cosine.py',
    './_base_/runtime/default.py',
]
# The authors scored the weights that semantic_fpn_uniformer_ade20k trains with these windows.
backbone = dict(arch='small', pretrained='imagenet1k', windows='window32', drop_path_rate=0.1)
batch_size = 4
test_multiple = 32
published = dict(metric='mIoU', value=45.6, source='Sense-X/UniFormer, semantic_segmentation/README.md')
