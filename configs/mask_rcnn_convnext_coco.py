_base_ = [
    './_base_/backbones/convnext.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='tiny', pretrained='imagenet1k_dense', drop_path_rate=0.4)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.95, decay_by='group', layers=6, vector_decay=False))
published = dict(metric='bbox_mAP', value=46.2, segm_mAP=41.7, source='facebookresearch/ConvNeXt, object_detection/README.md')
