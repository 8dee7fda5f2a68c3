# What all detection datasets without masks share.
_base_ = './instances.py'
with_mask, scored, key_metric = False, ['bbox'], 'bbox_mAP'
