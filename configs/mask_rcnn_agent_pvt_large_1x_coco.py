_base_ = [
    './_base_/backbones/agent_pvt.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='large', pretrained='imagenet1k', drop_path_rate=0.2)
optim_wrapper = dict(optimizer=dict(lr=2e-4, weight_decay=1e-4))
published = dict(metric='bbox_mAP', value=46.9, segm_mAP=42.8, source='LeapLabTHU/Agent-Attention, downstream/detection/README.md')
