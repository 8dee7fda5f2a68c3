_base_ = [
    './_base_/backbones/agent_pvt.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='small', pretrained='imagenet1k', drop_path_rate=0.2)
optim_wrapper = dict(optimizer=dict(lr=2e-4, weight_decay=1e-4))
published = dict(metric='bbox_mAP', value=44.5, segm_mAP=41.2, source='LeapLabTHU/Agent-Attention, downstream/detection/README.md')
