_base_ = [
    './_base_/backbones/casvit.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='s', pretrained='imagenet1k', norm_eval=True)
batch_size = 4
auto_scale_lr = dict(base_batch_size=32)
optim_wrapper = dict(optimizer=dict(lr=2e-4, weight_decay=1e-4))
published = dict(metric='bbox_mAP', value=39.8, segm_mAP=36.7, source='Tianfang-Zhang/CAS-ViT, MODEL_ZOO.md')
