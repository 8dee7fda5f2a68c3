_base_ = [
    './_base_/backbones/agent_swin.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='small', pretrained='imagenet1k', drop_path_rate=0.1)
published = dict(metric='bbox_mAP', value=48.9, segm_mAP=43.8, source='LeapLabTHU/Agent-Attention, downstream/detection/README.md')
