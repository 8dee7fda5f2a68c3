# DAVIS 2016: 30 training and 20 validation videos of one moving object, 854 x 480.
_base_ = './parts/videos.py'
data_root = 'data/davis'
batch_size = 8
_folders = dict(img_path='JPEGImages/480p', seg_map_path='Annotations/480p')
train_dataloader = dict(
    sampler=dict(type='DefaultSampler'), dataset=dict(data_prefix=_folders, ann_file='ImageSets/480p/train.txt')
)
val_dataloader = dict(dataset=dict(data_prefix=_folders, ann_file='ImageSets/480p/val.txt'))
