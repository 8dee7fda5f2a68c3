# COCO 2017 with a label map of things and stuff for each training image, 183 classes and 255 for none.
_base_ = './coco_instance.py'
with_seg = True
train_dataloader = dict(dataset=dict(data_prefix=dict(seg='stuffthingmaps/train2017')))
