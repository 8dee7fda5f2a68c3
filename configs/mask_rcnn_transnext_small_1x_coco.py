_base_ = [
    './_base_/backbones/transnext.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='small', pretrained='imagenet1k', image_size=800, drop_path_rate=0.6)
published = dict(metric='bbox_mAP', value=51.1, segm_mAP=45.5, source='DaiShiResearch/TransNeXt, detection/maskrcnn/README.md')
