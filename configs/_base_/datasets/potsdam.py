# ISPRS Potsdam: aerial photographs in tiles of 512 x 512, 3456 for training and 2016 for validation, 6 classes; label 0 of
# its files is ignored. Tiles as mmsegmentation cuts them.
_base_ = './parts/segmentation.py'
data_root = 'data/potsdam'
num_classes = 6
reduce_zero_label = True
_dataset = dict(type='PotsdamDataset', data_root='${data_root}')
train_dataloader = dict(
    dataset=dict(**_dataset, data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'))
)
val_dataloader = dict(dataset=dict(**_dataset, data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val')))
