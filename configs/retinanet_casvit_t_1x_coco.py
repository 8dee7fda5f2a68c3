_base_ = [
    './_base_/backbones/casvit.py',
    './_base_/heads/retinanet.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='t', pretrained='imagenet1k', norm_eval=True, drop_path_rate=0.1)
batch_size = 4
auto_scale_lr = dict(base_batch_size=32)
optim_wrapper = dict(optimizer=dict(lr=2e-4, weight_decay=1e-4))
published = dict(metric='bbox_mAP', value=41.9, source='Tianfang-Zhang/CAS-ViT, MODEL_ZOO.md')
