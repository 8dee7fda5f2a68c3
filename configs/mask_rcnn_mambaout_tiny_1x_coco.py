# The authors publish results without configs: rates and schedule are those most networks use.
_base_ = [
    './_base_/backbones/mambaout.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='tiny', pretrained='imagenet1k', drop_path_rate=0.2)
published = dict(metric='bbox_mAP', value=45.1, segm_mAP=41.0, source='MambaOut paper, https://arxiv.org/abs/2405.07992')
