# LoveDA: 2522 training and 1669 validation images of towns and of the country, 1024 x 1024, 7 classes; label 0 of its
# files means no data.
_base_ = './parts/segmentation.py'
data_root = 'data/loveDA'
num_classes = 7
reduce_zero_label = True
image_scale = (1024, 1024)
_dataset = dict(type='LoveDADataset', data_root='${data_root}')
train_dataloader = dict(
    dataset=dict(**_dataset, data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'))
)
val_dataloader = dict(dataset=dict(**_dataset, data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val')))
