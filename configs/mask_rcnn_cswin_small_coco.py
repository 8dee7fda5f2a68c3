_base_ = [
    './_base_/backbones/cswin.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/runtime/epochs.py',
]
# Of the authors' recipe only the schedule is published; the drop path rate is that of their segmentation models.
backbone = dict(arch='small', pretrained='imagenet1k', drop_path_rate=0.4)
published = dict(metric='bbox_mAP', value=50.0, segm_mAP=44.5, source='microsoft/CSWin-Transformer, README.md')
