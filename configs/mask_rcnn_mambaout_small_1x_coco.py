# The authors publish results without configs: rates and schedule are those most networks use.
_base_ = [
    './_base_/backbones/mambaout.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='small', pretrained='imagenet1k', drop_path_rate=0.4)
published = dict(metric='bbox_mAP', value=47.4, segm_mAP=42.7, source='MambaOut paper, https://arxiv.org/abs/2405.07992')
