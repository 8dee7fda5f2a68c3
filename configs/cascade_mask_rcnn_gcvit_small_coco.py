_base_ = [
    './_base_/backbones/gcvit.py',
    './_base_/heads/cascade_mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
# Drop path rates of the larger variants are not published; this is the tiny one's.
backbone = dict(arch='small', pretrained='imagenet1k', drop_path_rate=0.2)
warmup_iters = 2500
published = dict(metric='bbox_mAP', value=52.4, segm_mAP=45.4, source='NVlabs/GCVit, detection/README.md')
