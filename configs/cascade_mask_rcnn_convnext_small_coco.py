_base_ = [
    './_base_/backbones/convnext.py',
    './_base_/heads/cascade_mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='small', pretrained='imagenet1k_dense', drop_path_rate=0.6)
optim_wrapper = dict(optimizer=dict(lr=2e-4), paramwise_cfg=dict(layer_decay=0.7, decay_by='group', layers=12, vector_decay=False))
published = dict(metric='bbox_mAP', value=51.9, segm_mAP=45.0, source='facebookresearch/ConvNeXt, object_detection/README.md')
