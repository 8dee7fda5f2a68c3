_base_ = [
    './_base_/backbones/rmt.py',
    './_base_/heads/cascade_mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='base', pretrained='imagenet1k', drop_path_rate=0.4)
optim_wrapper = dict(optimizer=dict(lr=2e-4))
published = dict(metric='bbox_mAP', value=54.5, segm_mAP=47.2, source='qhfan/RMT, detect/RMT_det.png')
