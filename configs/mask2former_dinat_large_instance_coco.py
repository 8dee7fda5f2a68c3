_base_ = [
    './_base_/backbones/dinat.py',
    './_base_/heads/mask2former.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/mask2former_100e.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='large', pretrained='imagenet22k_dinat_large_11x11', kernel_size=11, dilations='mask2former', drop_path_rate=0.3)
head = dict(num_queries=200)
published = dict(metric='segm_mAP', value=50.8, source='SHI-Labs/Neighborhood-Attention-Transformer, DiNAT.md')
