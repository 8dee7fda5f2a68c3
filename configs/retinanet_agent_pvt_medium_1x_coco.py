_base_ = [
    './_base_/backbones/agent_pvt.py',
    './_base_/heads/retinanet.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='medium', pretrained='imagenet1k', drop_path_rate=0.2)
optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))
published = dict(metric='bbox_mAP', value=45.8, source='LeapLabTHU/Agent-Attention, downstream/detection/README.md')
