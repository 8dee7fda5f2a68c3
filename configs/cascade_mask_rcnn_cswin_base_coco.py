_base_ = [
    './_base_/backbones/cswin.py',
    './_base_/heads/cascade_mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
# Of the authors' recipe only the schedule is published; the drop path rate is that of their segmentation models.
backbone = dict(arch='base', pretrained='imagenet1k', drop_path_rate=0.6)
published = dict(metric='bbox_mAP', value=53.9, segm_mAP=46.4, source='microsoft/CSWin-Transformer, README.md')
