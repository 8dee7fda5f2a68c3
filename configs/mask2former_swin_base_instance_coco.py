_base_ = [
    './_base_/backbones/swin.py',
    './_base_/heads/mask2former.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/mask2former_50e.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='base', pretrained='imagenet1k_384', window_size=12, drop_path_rate=0.3)
published = dict(metric='segm_mAP', value=46.7, source='facebookresearch/Mask2Former, MODEL_ZOO.md')
