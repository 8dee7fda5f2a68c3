_base_ = [
    './_base_/backbones/fcaformer.py',
    './_base_/heads/cascade_mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='l2', pretrained='imagenet1k', layer_scale=1.0, drop_path_rate=0.2)
optim_wrapper = dict(optimizer=dict(lr=2e-4), paramwise_cfg=dict(layer_decay=0.7, decay_by='group', layers=6, vector_decay=False))
published = dict(metric='bbox_mAP', value=51.0, segm_mAP=43.9, source='hkzhang-git/FcaFormer, README.md')
