_base_ = [
    './_base_/backbones/rmt.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='large', pretrained='imagenet1k', drop_path_rate=0.5)
optim_wrapper = dict(optimizer=dict(lr=2e-4))
published = dict(metric='bbox_mAP', value=51.6, segm_mAP=45.9, source='qhfan/RMT, detect/RMT_det.png')
