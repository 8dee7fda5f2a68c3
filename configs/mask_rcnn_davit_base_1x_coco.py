_base_ = [
    './_base_/backbones/davit.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x_multiscale.py',
    './_base_/runtime/epochs.py',
]
# Drop path rates of the larger variants are not published; this is the tiny one's.
backbone = dict(arch='base', pretrained='imagenet1k', drop_path_rate=0.1)
published = dict(metric='bbox_mAP', value=48.2, segm_mAP=43.3, source='dingmyu/davit, README.md')
