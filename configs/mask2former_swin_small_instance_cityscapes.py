_base_ = [
    './_base_/backbones/swin.py',
    './_base_/heads/mask2former.py',
    './_base_/datasets/cityscapes_instance.py',
    './_base_/schedules/mask2former_90k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='small', pretrained='imagenet1k', drop_path_rate=0.3)
published = dict(metric='segm_mAP', value=41.8, source='facebookresearch/Mask2Former, MODEL_ZOO.md')
