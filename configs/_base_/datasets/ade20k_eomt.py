# ADE20K as EoMT trains on it.
_base_ = ['./ade20k.py', './parts/padded_crops.py']
train_pipeline = '${padded_crops}'
