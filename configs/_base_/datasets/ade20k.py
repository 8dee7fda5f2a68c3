# ADE20K scene parsing: 20210 training and 2000 validation images, 150 classes; label 0 of its files means unlabelled.
_base_ = './parts/segmentation.py'
data_root = 'data/ade/ADEChallengeData2016'
num_classes = 150
reduce_zero_label = True
_dataset = dict(type='ADE20KDataset', data_root='${data_root}')
train_dataloader = dict(
    dataset=dict(**_dataset, data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'))
)
val_dataloader = dict(
    dataset=dict(**_dataset, data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation'))
)
