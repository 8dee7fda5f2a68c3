# Cityscapes as EoMT trains on it.
_base_ = ['./cityscapes.py', './parts/padded_crops.py']
crop_size = (1024, 1024)
train_pipeline = '${padded_crops}'
