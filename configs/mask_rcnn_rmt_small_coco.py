_base_ = [
    './_base_/backbones/rmt.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='small', pretrained='imagenet1k', drop_path_rate=0.15)
optim_wrapper = dict(optimizer=dict(lr=4e-4))
published = dict(metric='bbox_mAP', value=50.7, segm_mAP=44.9, source='qhfan/RMT, detect/RMT_det.png')
