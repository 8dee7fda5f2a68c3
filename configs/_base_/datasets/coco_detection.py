# COCO 2017 without its masks.
_base_ = './coco_instance.py'
with_mask, scored, key_metric = False, ['bbox'], 'bbox_mAP'
