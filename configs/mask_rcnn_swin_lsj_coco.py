_base_ = [
    './_base_/backbones/swin.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_lsj.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(drop_path_rate=0.2)
