_base_ = [
    './_base_/backbones/davit.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x_multiscale.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='tiny', pretrained='imagenet1k', drop_path_rate=0.1)
published = dict(metric='bbox_mAP', value=45.0, segm_mAP=41.1, source='dingmyu/davit, README.md')
