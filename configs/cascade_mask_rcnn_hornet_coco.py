_base_ = [
    './_base_/backbones/hornet.py',
    './_base_/heads/cascade_mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='tiny', pretrained='imagenet1k_dense', drop_path_rate=0.4)
optim_wrapper = dict(optimizer=dict(lr=2e-4), paramwise_cfg=dict(layer_decay=0.7, decay_by='group', layers=12, blocks_per_layer=2, vector_decay=False))
published = dict(metric='bbox_mAP', value=51.7, segm_mAP=44.8, source='raoyongming/HorNet, object_detection/README.md')
