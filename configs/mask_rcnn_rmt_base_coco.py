_base_ = [
    './_base_/backbones/rmt.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='base', pretrained='imagenet1k', drop_path_rate=0.4)
optim_wrapper = dict(optimizer=dict(lr=2e-4))
published = dict(metric='bbox_mAP', value=52.2, segm_mAP=46.1, source='qhfan/RMT, detect/RMT_det.png')
