# ADE20K as EoMT trains on it: images are resized to fit the crop, times a factor, and crops are taken as they fall.
_base_ = './ade20k.py'
train_scale = '${crop_size}'
cat_max_ratio = 1.0
