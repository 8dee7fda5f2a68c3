_base_ = [
    './_base_/backbones/ffnet.py',
    './_base_/heads/cascade_mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='4', pretrained='imagenet1k', drop_path_rate=0.6)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.8, decay_by='group', layers=12, vector_decay=False))
published = dict(metric='bbox_mAP', value=53.4, segm_mAP=45.9, source='ysj9909/FFNet, detection/README.md')
